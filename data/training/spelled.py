"""The word spelled so far: what a token enters the model with depends on it, whatever its case and however the tokenizer cut it.

A word is a run of letters (bytes of ASCII letters, lowered, and all from 0x80 on); "_", digits and all else end it, as a capital behind a small
letter does. Its hash goes on with every letter, h * 0x01000193 + letter + 1 modulo 2^32, so what a token does to it is h -> multiply * h + add,
with multiply 0 where the token holds a boundary. h = 0: no word. engine/word.h is the same, byte by byte."""
import json
import numpy as np
from tokens import byte_letters

PRIME, MASK = 0x01000193, 0xffffffff


def is_letter(c):
    return c >= 0x80 or 65 <= c <= 90 or 97 <= c <= 122


def spell(text, h=0, before=0):
    """Bytes -> hash behind them; h, before: the hash and the byte in front"""
    for c in text:
        if not is_letter(c) or (65 <= c <= 90 and 97 <= before <= 122):
            h = 0
        if is_letter(c):
            h = (h * PRIME + (c + 32 if 65 <= c <= 90 else c) + 1) & MASK
        before = c
    return h


def rows(h, n):
    """A hash above 0, or a tensor (int64) of them -> its two rows of n"""
    h = h ^ h >> 16
    h = h * 0x85ebca6b & MASK
    h = h ^ h >> 13
    h = h * 0xc2b2ae35 & MASK
    h = h ^ h >> 16
    return h % n, (h >> 16) % n


def tables(tokenizer, vocabulary):
    """tokenizer.json -> of every token: multiply, add [vocabulary] int64; whether it begins with a capital, ends with a small letter"""
    with open(tokenizer, encoding="utf-8") as f:
        data = json.load(f)
    control = {t["id"] for t in data["added_tokens"]}
    back = {letter: b for b, letter in byte_letters().items()}
    multiply, add = np.zeros(vocabulary, np.int64), np.zeros(vocabulary, np.int64)
    capital, small = np.zeros(vocabulary, bool), np.zeros(vocabulary, bool)
    for word, i in data["model"]["vocab"].items():
        if i in control or i >= vocabulary:
            continue
        text = bytes(back[c] for c in word)
        add[i] = spell(text)
        if all(map(is_letter, text)) and not any(97 <= a <= 122 and 65 <= b <= 90 for a, b in zip(text, text[1:])):
            multiply[i] = pow(PRIME, len(text), 1 << 32)
        capital[i], small[i] = 65 <= text[0] <= 90, 97 <= text[-1] <= 122
    return multiply, add, capital, small
