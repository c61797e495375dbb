"""A text file as a C string: embed.py INPUT OUTPUT NAME"""
import sys

source, target, name = sys.argv[1:]
with open(source, encoding="utf-8") as f, open(target, "w", encoding="utf-8") as out:
    out.write("/* made from %s */\nconst char %s[] =\n" % (source.split("/")[-1], name))
    for line in f:
        text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
        out.write('    "%s\\n"\n' % text)
    out.write("    ;\n")
