/* said.c: an answer's tokens as a list of items; see said.h. */
#include "engine/said.h"

sx_said_kind sx_said_kind_of(const uint8_t *bytes, size_t n)
{
    if (n == 1 && bytes[0] == ',')
        return SX_SAID_COMMA;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = bytes[i];

        if (!(c == ' ' || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
              (c >= 'A' && c <= 'Z')))
            return SX_SAID_OTHER;
    }
    return n > 0 ? SX_SAID_WORD : SX_SAID_OTHER;
}

void sx_said_add(sx_said *said, uint32_t token, sx_said_kind kind)
{
    said->token[said->n++] = token;
    if (kind == SX_SAID_COMMA)
        said->item = said->n;
    else if (kind == SX_SAID_OTHER)
        said->broken = true;
}

/* Does an earlier item begin with the running one, or is it the same if `whole`? Items are told
 * apart by the comma in front of the running one. */
static bool begins_earlier(const sx_said *said, bool whole)
{
    size_t length = said->n - said->item;
    uint32_t comma;

    if (said->broken || said->item == 0)
        return false;
    comma = said->token[said->item - 1];
    for (size_t at = 0; at < said->item;) {
        size_t end = at, same = 0;

        while (said->token[end] != comma)
            end++;
        while (same < length && at + same < end &&
               said->token[at + same] == said->token[said->item + same])
            same++;
        if (same == length && (!whole || at + same == end))
            return true;
        at = end + 1;
    }
    return false;
}

bool sx_said_again(const sx_said *said)
{
    return said->n > said->item && begins_earlier(said, true);
}

size_t sx_said_sure(const sx_said *said)
{
    return begins_earlier(said, false) ? said->item - 1 : said->n;
}
