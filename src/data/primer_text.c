/* Sentence patterns with Korean particles, and numbers in words. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "data/primer_int.h"

void pr_add(struct pr_out *o, const char *s, size_t n)
{
    if (o->rc == 0)
        o->rc = buf_add(o->b, s, n, o->e);
}

void pr_str(struct pr_out *o, const char *s)
{
    pr_add(o, s, strlen(s));
}

void pr_newline(struct pr_out *o)
{
    while (o->rc == 0 && o->b->len && o->b->p[o->b->len - 1] == ' ')
        o->b->len--;
    if (o->rc == 0 && (o->b->len == 0 || o->b->p[o->b->len - 1] != '\n'))
        pr_add(o, "\n", 1);
}

void slot_join(struct slots *sl, int i, const char *a, const char *b, const char *c)
{
    const char *part[3] = {a, b, c};
    char *start = sl->mem + sl->used;

    assert(i < SLOT_MAX);
    for (int k = 0; k < 3 && part[k]; k++) {
        size_t n = strlen(part[k]);
        assert(sl->used + n + 1 <= SLOT_BYTES);
        memcpy(sl->mem + sl->used, part[k], n);
        sl->used += n;
    }
    sl->mem[sl->used++] = 0;
    sl->s[i] = start;
}

void slot_int(struct slots *sl, int i, int v)
{
    char t[16], *p = t + sizeof t - 1;
    unsigned u = (unsigned)v;

    assert(v >= 0);
    *p = 0;
    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    slot_join(sl, i, p, NULL, NULL);
}

/* 영 일 이 삼 사 오 육 칠 팔 구; a number that ends in 0 is read 십, 백, 천 or 영: a consonant too. */
static const signed char digit_final[10] = {21, 8, 0, 16, 0, 0, 1, 8, 8, 0};

int ko_final(const char *word)
{
    const unsigned char *w = (const unsigned char *)word;
    size_t n = strlen(word);

    while (n >= 3 && w[n - 3] == 0xe2 && w[n - 2] == 0x80 && (w[n - 1] == 0x99 || w[n - 1] == 0x9d))
        n -= 3;                                             /* ’ ” */
    if (n >= 1 && w[n - 1] >= '0' && w[n - 1] <= '9')
        return digit_final[w[n - 1] - '0'];
    if (n < 3 || w[n - 3] < 0xea || w[n - 3] > 0xed)
        return -1;
    int cp = (w[n - 3] & 15) << 12 | (w[n - 2] & 63) << 6 | (w[n - 1] & 63);
    return cp >= 0xac00 && cp <= 0xd7a3 ? (cp - 0xac00) % 28 : -1;
}

static const struct {
    const char *name, *after_consonant, *after_vowel;
} particles[] = {
    {"을", "을", "를"}, {"이", "이", "가"}, {"은", "은", "는"}, {"과", "과", "와"}, {"로", "으로", "로"}, {"다", "이다", "다"},
    {"고", "이고", "고"}, {"라", "이라", "라"}, {"야", "이야", "야"}, {"며", "이며", "며"}, {"므", "이므로", "므로"},
};

static const char *particle(const char *name, const char *word)
{
    int f = ko_final(word);

    for (size_t i = 0; i < sizeof particles / sizeof *particles; i++) {
        if (memcmp(name, particles[i].name, 3))
            continue;
        bool vowel = f <= 0 || (i == 4 && f == 8);          /* 로 follows ㄹ as it follows a vowel */
        return vowel ? particles[i].after_vowel : particles[i].after_consonant;
    }
    assert(!"an unknown particle in a pattern");
    return "";
}

void pr_pattern(struct pr_out *o, const char *p, const struct slots *sl)
{
    for (;;) {
        const char *open = strchr(p, '{');
        if (!open) {
            pr_str(o, p);
            return;
        }
        pr_add(o, p, (size_t)(open - p));
        int i = open[1] >= 'a' ? open[1] - 'a' + 10 : open[1] - '0';
        assert(i >= 0 && i < SLOT_MAX && sl->s[i]);
        if (open[2] == ':') {
            pr_str(o, particle(open + 3, sl->s[i]));
            p = open + 7;
        } else {
            assert(open[2] == '}');
            pr_str(o, sl->s[i]);
            p = open + 3;
        }
    }
}

static const char *const sino_digit[10] = {"", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구"};

void ko_sino(char *out, int n)
{
    static const struct {
        int v;
        const char *name;
    } place[] = {{1000, "천"}, {100, "백"}, {10, "십"}};

    assert(n >= 1 && n <= 9999);
    *out = 0;
    for (int i = 0; i < 3; i++) {
        int d = n / place[i].v % 10;
        if (d == 0)
            continue;
        if (d > 1)
            strcat(out, sino_digit[d]);
        strcat(out, place[i].name);
    }
    strcat(out, sino_digit[n % 10]);
}

void ko_sino_places(char *out, int n)
{
    static const int place[3] = {100, 10, 1};
    char t[64];

    assert(n >= 1 && n <= 999);
    *out = 0;
    for (int i = 0; i < 3; i++) {
        int v = n / place[i] % 10 * place[i];
        if (v == 0)
            continue;
        ko_sino(t, v);
        strcat(strcat(out, *out ? "-" : ""), t);
    }
}

void ko_native(char *out, int n)
{
    static const char *const one[10] = {"", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉"};
    static const char *const ten[10] = {"", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔"};

    assert(n >= 1 && n <= 99);
    strcpy(out, n == 20 ? "스무" : ten[n / 10]);
    strcat(out, one[n % 10]);
}

void en_number(char *out, int n)
{
    static const char *const small[20] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
        "nine",
        "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
    static const char *const tens[10] = {"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty",
        "ninety"};

    assert(n >= 0 && n <= 999);
    *out = 0;
    if (n >= 100) {
        strcat(strcpy(out, small[n / 100]), " hundred");
        n %= 100;
        if (n == 0)
            return;
        strcat(out, " ");
    }
    if (n < 20) {
        strcat(out, small[n]);
        return;
    }
    strcat(out, tens[n / 10]);
    if (n % 10)
        strcat(strcat(out, "-"), small[n % 10]);
}
