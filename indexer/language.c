/* language.c: which grammar a file is read with: by its name, its suffix, its first line, and for
 * suffixes that several languages share by a look at the text. Knows no queries and no trees. */
#include "indexer/language.h"

#include <string.h>

extern const TSLanguage *tree_sitter_bash(void);
extern const TSLanguage *tree_sitter_c(void);
extern const TSLanguage *tree_sitter_c_sharp(void);
extern const TSLanguage *tree_sitter_cpp(void);
extern const TSLanguage *tree_sitter_cuda(void);
extern const TSLanguage *tree_sitter_go(void);
extern const TSLanguage *tree_sitter_java(void);
extern const TSLanguage *tree_sitter_javascript(void);
extern const TSLanguage *tree_sitter_kotlin(void);
extern const TSLanguage *tree_sitter_lua(void);
extern const TSLanguage *tree_sitter_php(void);
extern const TSLanguage *tree_sitter_python(void);
extern const TSLanguage *tree_sitter_ruby(void);
extern const TSLanguage *tree_sitter_rust(void);
extern const TSLanguage *tree_sitter_swift(void);
extern const TSLanguage *tree_sitter_tsx(void);
extern const TSLanguage *tree_sitter_typescript(void);

static const sx_language languages[] = {
    {"c", tree_sitter_c, " c h ", "", " tcc ", true},
    {"cpp", tree_sitter_cpp, " cc cpp cxx c++ hh hpp hxx h++ inl ipp tcc tpp txx cppm ixx ino ", "",
     "", true},
    {"cuda", tree_sitter_cuda, " cu cuh ", "", "", true},
    {"python", tree_sitter_python, " py pyi pyw bzl ", " SConstruct SConscript wscript ",
     " python pypy ", false},
    {"javascript", tree_sitter_javascript, " js mjs cjs jsx ", " Jakefile ", " node nodejs ",
     false},
    {"typescript", tree_sitter_typescript, " ts mts cts ", "", " deno bun ts-node tsx ", false},
    {"tsx", tree_sitter_tsx, " tsx ", "", "", false},
    {"rust", tree_sitter_rust, " rs ", "", " rust-script ", false},
    {"go", tree_sitter_go, " go ", "", "", false},
    {"java", tree_sitter_java, " java ", "", "", false},
    {"ruby", tree_sitter_ruby, " rb rake gemspec ru rbi podspec ",
     " Rakefile Gemfile Guardfile Vagrantfile Podfile Fastfile Brewfile Capfile ",
     " ruby jruby rake ", false},
    {"csharp", tree_sitter_c_sharp, " cs csx ", "", "", false},
    {"bash", tree_sitter_bash, " sh bash bats ebuild eclass ksh zsh ",
     " PKGBUILD APKBUILD .bashrc .bash_profile .bash_aliases .profile .zshrc ",
     " sh bash dash ksh zsh ash bats ", false},
    {"php", tree_sitter_php, " php phtml php3 php4 php5 phps inc ", "", " php ", false},
    {"lua", tree_sitter_lua, " lua rockspec ", " .luacheckrc ", " lua luajit ", false},
    {"kotlin", tree_sitter_kotlin, " kt kts ", "", " kotlin ", false},
    {"swift", tree_sitter_swift, " swift ", "", " swift ", false},
};
#define N_LANGUAGES (sizeof languages / sizeof languages[0])
#define LOOK        65536 /* bytes of a text that decide */

size_t sx_language_count(void)
{
    return N_LANGUAGES;
}

const sx_language *sx_language_at(size_t i)
{
    return i < N_LANGUAGES ? &languages[i] : NULL;
}

const sx_language *sx_language_named(const char *name)
{
    for (size_t i = 0; i < N_LANGUAGES; i++)
        if (!strcmp(languages[i].name, name))
            return &languages[i];
    return NULL;
}

static bool word_in(const char *words, const char *word, size_t n)
{
    if (n == 0 || memchr(word, ' ', n))
        return false;
    for (const char *at = words; *at; at++)
        if (*at == ' ' && !strncmp(at + 1, word, n) && at[1 + n] == ' ')
            return true;
    return false;
}

/* `word` stands at `at` and ends there as a word. */
static bool starts_with(const uint8_t *at, const uint8_t *end, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(end - at) < n || memcmp(at, word, n))
        return false;
    at += n;
    return at == end ||
           !(*at == '_' || (*at >= '0' && *at <= '9') || ((*at | 32) >= 'a' && (*at | 32) <= 'z'));
}

/* The first character behind `word` and white space, or 0. */
static uint8_t follows(const uint8_t *at, const uint8_t *end, const char *word)
{
    if (!starts_with(at, end, word))
        return 0;
    for (at += strlen(word); at < end; at++)
        if (*at != ' ' && *at != '\t')
            return *at;
    return 0;
}

static bool letter(uint8_t c)
{
    return c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static bool cpp_line(const uint8_t *at, const uint8_t *eol)
{
    const uint8_t *open, *close;

    if (follows(at, eol, "template") == '<' || letter(follows(at, eol, "namespace")) ||
        follows(at, eol, "namespace") == '{' || letter(follows(at, eol, "using")) ||
        letter(follows(at, eol, "enum class")) || follows(at, eol, "public") == ':' ||
        follows(at, eol, "private") == ':' || follows(at, eol, "protected") == ':')
        return true;
    /* opens a body or a list of bases, or is only announced: not the words of a sentence */
    if (letter(follows(at, eol, "class")))
        return memchr(at, '{', (size_t)(eol - at)) || memchr(at, ':', (size_t)(eol - at)) ||
               memchr(at, ';', (size_t)(eol - at));
    /* #include <vector>: a header of the C++ library has no suffix */
    if (starts_with(at, eol, "#include")) {
        open = memchr(at, '<', (size_t)(eol - at));
        close = open ? memchr(open, '>', (size_t)(eol - open)) : NULL;
        return close && !memchr(open, '.', (size_t)(close - open));
    }
    return false;
}

typedef enum header_kind { HEADER_C, HEADER_CPP, HEADER_OBJECTIVE_C } header_kind;

/* What a .h file holds, by the words that start its lines outside of comments. C unless the text
 * clearly is something else: an `extern "C"` is no sign, every C header may have it. */
static header_kind header_look(const uint8_t *text, size_t n)
{
    const uint8_t *end = text + n;
    bool in_comment = false;

    for (const uint8_t *line = text; line < end;) {
        const uint8_t *eol = memchr(line, '\n', (size_t)(end - line)), *at = line;

        if (!eol)
            eol = end;
        while (at < eol && (*at == ' ' || *at == '\t'))
            at++;
        if (!in_comment && at < eol && *at != '*' && *at != '/') {
            if (cpp_line(at, eol))
                return HEADER_CPP;
            if (starts_with(at, eol, "@interface") || starts_with(at, eol, "@protocol") ||
                starts_with(at, eol, "@class"))
                return HEADER_OBJECTIVE_C;
        }
        for (; at < eol; at++) {
            if (!in_comment && eol - at >= 2 && at[0] == '/' && at[1] == '/')
                break;
            if (eol - at >= 2 && !memcmp(at, in_comment ? "*/" : "/*", 2)) {
                in_comment = !in_comment;
                at++;
            }
        }
        line = eol + 1;
    }
    return HEADER_C;
}

/* "#!/usr/bin/env -S python3.11 -u" -> "python" */
static const sx_language *interpreter_look(const uint8_t *text, size_t n)
{
    const char *at = (const char *)text + 2, *end = memchr(text, '\n', n);
    const char *word, *slash;

    if (!end)
        end = (const char *)text + n;
    for (;;) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        word = at;
        while (at < end && *at != ' ' && *at != '\t' && *at != '\r')
            at++;
        if (word == at)
            return NULL;
        slash = memrchr(word, '/', (size_t)(at - word));
        if (slash)
            word = slash + 1;
        if (*word == '-' || memchr(word, '=', (size_t)(at - word)) ||
            (at - word == 3 && !memcmp(word, "env", 3)))
            continue; /* env, its options and its variables */
        break;
    }
    size_t len = (size_t)(at - word);
    while (len > 0 && ((word[len - 1] >= '0' && word[len - 1] <= '9') || word[len - 1] == '.'))
        len--;
    for (size_t i = 0; i < N_LANGUAGES; i++)
        if (word_in(languages[i].interpreters, word, len))
            return &languages[i];
    return NULL;
}

const sx_language *sx_language_of(const char *path, const uint8_t *text, size_t n)
{
    const char *name = strrchr(path, '/'), *dot;
    const sx_language *found = NULL;
    char suffix[16];
    size_t len, first = 0;

    name = name ? name + 1 : path;
    if (n > LOOK)
        n = LOOK;
    for (size_t i = 0; i < N_LANGUAGES; i++)
        if (word_in(languages[i].file_names, name, strlen(name)))
            return &languages[i];
    dot = strrchr(name, '.');
    if (!dot || dot == name)
        return n > 2 && text[0] == '#' && text[1] == '!' ? interpreter_look(text, n) : NULL;
    len = strlen(dot + 1);
    if (len == 0 || len >= sizeof suffix)
        return NULL;
    for (size_t i = 0; i <= len; i++)
        suffix[i] = dot[1 + i] >= 'A' && dot[1 + i] <= 'Z' ? (char)(dot[1 + i] | 32) : dot[1 + i];
    for (size_t i = 0; i < N_LANGUAGES && !found; i++)
        if (word_in(languages[i].suffixes, suffix, len))
            found = &languages[i];
    if (!found) /* script.in, run.cgi: what the first line says */
        return n > 2 && text[0] == '#' && text[1] == '!' ? interpreter_look(text, n) : NULL;

    while (first < n && (text[first] == ' ' || text[first] == '\n' || text[first] == '\r' ||
                         text[first] == '\t'))
        first++;
    if (!strcmp(dot, ".C") || !strcmp(dot, ".H"))
        return sx_language_named("cpp");
    if (!strcmp(suffix, "h")) {
        header_kind kind = header_look(text, n);
        return kind == HEADER_CPP ? sx_language_named("cpp") : kind == HEADER_C ? found : NULL;
    }
    if (!strcmp(suffix, "ts") && first < n && text[first] == '<')
        return NULL; /* translations of Qt */
    if (!strcmp(suffix, "inc") && !(n - first >= 5 && !memcmp(text + first, "<?php", 5)))
        return NULL; /* anything may be included */
    return found;
}
