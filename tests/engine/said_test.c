/* said_test.c: when a list says something twice, and what may be shown before that is known. */
#include "engine/said.h"
#include "tests/check.h"

#include <string.h>

enum { COMMA = 1, FIRST = 10 };

/* "10 11 , 10" -> added; -1: something that no list has */
static void say(sx_said *said, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == ',')
            sx_said_add(said, COMMA, SX_SAID_COMMA);
        else if (*c == '(')
            sx_said_add(said, FIRST + '(', SX_SAID_OTHER);
        else
            sx_said_add(said, FIRST + (uint32_t)*c, SX_SAID_WORD);
    }
}

static void kinds(void)
{
    SX_CHECK(sx_said_kind_of((const uint8_t *)",", 1) == SX_SAID_COMMA);
    SX_CHECK(sx_said_kind_of((const uint8_t *)" 482", 4) == SX_SAID_WORD);
    SX_CHECK(sx_said_kind_of((const uint8_t *)"amber_Falcon7", 13) == SX_SAID_WORD);
    SX_CHECK(sx_said_kind_of((const uint8_t *)", ", 2) == SX_SAID_OTHER);
    SX_CHECK(sx_said_kind_of((const uint8_t *)"a(", 2) == SX_SAID_OTHER);
    SX_CHECK(sx_said_kind_of((const uint8_t *)"\n", 1) == SX_SAID_OTHER);
    SX_CHECK(sx_said_kind_of((const uint8_t *)"\xc3", 1) == SX_SAID_OTHER);
    SX_CHECK(sx_said_kind_of((const uint8_t *)"", 0) == SX_SAID_OTHER);
}

/* again, sure: after the text was said */
static void one(const char *text, bool again, size_t sure)
{
    uint32_t room[64];
    sx_said said = {.token = room};

    say(&said, text);
    if (sx_said_again(&said) != again || sx_said_sure(&said) != sure)
        fprintf(stderr, "\"%s\": again %d, sure %zu\n", text, sx_said_again(&said),
                sx_said_sure(&said));
    SX_CHECK(sx_said_again(&said) == again);
    SX_CHECK(sx_said_sure(&said) == sure);
}

static void lists(void)
{
    one("", false, 0);
    one("ab", false, 2);     /* the first item */
    one("ab,", false, 2);    /* what follows may be ab again */
    one("ab,a", false, 2);   /* still */
    one("ab,ab", true, 2);   /* it is */
    one("ab,ac", false, 5);  /* it is not */
    one("ab,abc", false, 6); /* nor a longer one */
    one("abc,ab", false, 3); /* may go on; were it all, it would be another one */
    one("a,b,c,b", true, 5); /* of an item in the middle */
    one("a,b,c,a", true, 5); /* and of the first */
    one("a,b,", false, 3);
    one("f(a,a", false, 5); /* code repeats itself */
    one("a,a(", false, 4);
}

static void going_back(void)
{
    uint32_t room[64];
    sx_said said = {.token = room};

    say(&said, "ab,cd,ab");
    SX_CHECK(sx_said_again(&said));
    said.n = said.item; /* goes on from there */
    SX_CHECK(said.n == 6 && said.item == 6 && !sx_said_again(&said) && sx_said_sure(&said) == 5);
    say(&said, "ef");
    SX_CHECK(said.n == 8 && !sx_said_again(&said) && sx_said_sure(&said) == 8);
}

int main(void)
{
    kinds();
    lists();
    going_back();
    return sx_check_end();
}
