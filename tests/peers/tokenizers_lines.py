"""Adversarial lines for tokenizers, from a seed: what real text rarely holds and encoders get wrong."""

import random
import unicodedata

HANGUL = [chr(c) for c in range(0xAC00, 0xD7A4)]
JAMO = [chr(c) for c in list(range(0x1100, 0x1200)) + list(range(0xA960, 0xA97D)) + list(range(0xD7B0, 0xD7FC))]
COMPAT = [chr(c) for c in range(0x3131, 0x318F)]
LATIN = [chr(c) for c in list(range(0x41, 0x5B)) + list(range(0x61, 0x7B)) + list(range(0xC0, 0x250))]
MARKS = [
    chr(c)
    for c in list(range(0x300, 0x370))
    + [
        0x93C,
        0x9BE,
        0x9D7,
        0xB3E,
        0xCD5,
        0xDCA,
        0xE38,
        0xF71,
        0x302E,
        0x3099,
        0x20D0,
        0xFE0F,
        0xFE0E,
        0x1DF6,
        0x11930,
        0x1E08F,
        0x8CA,
        0x10EFD,
    ]
]
SPACE = [
    chr(c)
    for c in [
        9,
        10,
        11,
        12,
        13,
        0x1C,
        0x1D,
        0x1E,
        0x1F,
        32,
        32,
        32,
        0x85,
        0xA0,
        0x1680,
        0x180E,
        0x2000,
        0x2003,
        0x2009,
        0x200A,
        0x200B,
        0x200C,
        0x200D,
        0x2028,
        0x2029,
        0x202F,
        0x205F,
        0x2060,
        0x3000,
        0xFEFF,
    ]
]
CONTROL = [chr(c) for c in list(range(1, 32)) + list(range(0x7F, 0xA0))]
PUNCT = list("""!"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~·…—–‘’“”「」『』〈〉《》【】※○●◎△▲★☆→←↔℃㎡㈜①②③ⅣⅫ½²³ªº""")
DIGIT = list("0123456789") + [
    chr(c) for c in [0x660, 0x966, 0xE50, 0xFF10, 0xFF19, 0x1D7CE, 0x2167, 0x3007, 0x1CCF0, 0x16D70]
]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇰🇷", "❤️", "☺", "1️⃣", "🧑🏿‍🚀", "🫩"]
OTHER = [
    chr(c)
    for c in list(range(0x3400, 0x3420))
    + list(range(0x4E00, 0x4E80))
    + list(range(0x3041, 0x3100))
    + list(range(0x5D0, 0x5EB))
    + list(range(0x621, 0x64B))
    + list(range(0xE01, 0xE3B))
    + list(range(0x905, 0x93A))
    + list(range(0x400, 0x460))
    + list(range(0x391, 0x3C9))
    + [
        0xF900,
        0xFA0E,
        0x20000,
        0x2B739,
        0x31350,
        0x2EBF0,
        0x1F82,
        0x212A,
        0x2126,
        0x17F,
        0x1E9E,
        0x130,
        0x131,
        0xFB01,
        0xFB06,
    ]
]
WORDS = [
    "don't",
    "I'M",
    "we'LL",
    "they've",
    "O’Reilly’s",
    "'tis",
    "''s",
    "'ſ",
    "x'ſt",
    "API를",
    "Python은",
    "C언어",
    "3월",
    "제1조의2",
    "대한민국",
    "㈜독자",
    "ㅋㅋㅋ",
    "ㅠㅠ",
    "大韓民國은",
    "韓글",
    "getElementById",
    "HTTPServer",
    "snake_case",
    "1,234,567",
    "2026-11-22",
    "https://example.org/a?b=c&d=%EA%B0%80",
    "<|end|>",
    "<|bos|",
    "<|endoftext|>",
    "<mask>",
    "[SEP]",
    "\\n",
    "a\u0301",
    "각",
    "한글",
]
POOLS = [
    HANGUL,
    HANGUL,
    JAMO,
    COMPAT,
    LATIN,
    MARKS,
    SPACE,
    SPACE,
    CONTROL,
    PUNCT,
    DIGIT,
    EMOJI,
    OTHER,
    WORDS,
    WORDS,
]


def any_char(r):
    while True:
        c = r.randrange(0x110000) if r.random() < 0.5 else r.randrange(0x20000)
        if not 0xD800 <= c < 0xE000 and c != 0:
            return chr(c)


def one(r):
    kind = r.randrange(10)
    n = r.choice([1, 2, 3, 5, 8, 13, 30, 80])
    if kind < 5:
        s = "".join(r.choice(r.choice(POOLS)) for _ in range(n))
    elif kind == 5:
        s = "".join(any_char(r) for _ in range(n))
    elif kind == 6:
        s = "".join(r.choice(r.choice(POOLS)) * r.choice([1, 1, 2, 3, 7]) for _ in range(n))
    elif kind == 7:
        pool = r.sample(POOLS, 2)
        s = "".join(r.choice(r.choice(pool)) for _ in range(n))
    elif kind == 8:
        base = "".join(r.choice(HANGUL + LATIN + OTHER) for _ in range(n))
        s = unicodedata.normalize("NFD", base)
        if r.random() < 0.5:
            s = "".join(c + (r.choice(MARKS) if r.random() < 0.3 else "") for c in s)
    else:
        s = r.choice([" ", "\t", "\n", "\r\n", "\u3000", ""]).join(r.choice(WORDS) for _ in range(n))
    return s


def lines(n, seed=1):
    r = random.Random(seed)
    for _ in range(n):
        yield one(r)


def every_char():
    """Every code point in the middle of a line, between letters, behind a space and behind a digit."""
    for c in range(1, 0x110000):
        if 0xD800 <= c < 0xE000:
            continue
        ch = chr(c)
        yield "a" + ch + "b " + ch + " 가" + ch + "나1" + ch + ch + "\u0301" + ch + "\u0334" + "\n" + ch


def long_lines():
    yield "a" * 100_000
    yield "가" * 350_000
    yield "ab가" * 200_000
    yield " " * 300_000 + "x"
    yield "\n " * 100_000
    yield "!" * 300_000
    yield "9" * 300_000
    yield "".join(random.Random(7).choices(HANGUL, k=350_000))
    yield "".join(random.Random(8).choices("abcdefghij", k=1_000_000))
    yield "e\u0301" * 100_000
    yield "a" + "\u0301\u0316" * 5_000
    yield "👨‍👩‍👧‍👦" * 20_000
