#include "cli/bench_words.h"

#include <string.h>

#include "ui/phrase.h"

/* As bench_*.c here and bench/peers write them. */
static const struct two words[] = {
    {"vocabulary *", "어휘 $1"},
    {"sequence *", "길이 $1"},
    {"* tokens a step", "한 단계 $1토큰"},
    {"*M parameters", "매개변수 $1M"},
    {"prompt of * tokens", "프롬프트 $1토큰"},
    {"after * tokens", "$1토큰 다음"},
    {"corpus build", "말뭉치 만들기"},
    {"tokenizer train", "토크나이저 학습"},
    {"* MB of Korean", "한국어 $1 MB"},
    {"memory", "메모리"},
    {"of CPU time", "CPU 시간 기준"},
    {"encode", "토큰화"},
    {"encode Korean", "한국어 토큰화"},
    {"encode English", "영어 토큰화"},
    {"* MB at * bytes a token", "$1 MB(토큰당 $2바이트)"},
    {"one thread", "스레드 1개"},
    {"* thread", "스레드 $1개"},
    {"* threads", "스레드 $1개"},
    {"* cores", "코어 $1개"},
    {"* core", "코어 $1개"},
    {"memory read", "메모리 읽기"},
    {"* peak", "$1 최고치"},
    {"machine", "기계"},
    {"tokens/s", "토큰/s"},
};

struct two bench_say(struct bench_words *w, const char *name)
{
    size_t at = 0;
    char part[200];
    for (const char *p = name;;) {
        const char *end = strstr(p, ", ");
        size_t n = end ? (size_t)(end - p) : strlen(p), room = sizeof w->ko - at;
        bool known = n < sizeof part;
        if (known) {
            memcpy(part, p, n);
            part[n] = 0;
            known = phrase_ko(w->ko + at, room, words, sizeof words / sizeof *words, part);
        }
        if (!known && n >= room)
            return (struct two){name, name};
        if (!known)
            memcpy(w->ko + at, p, n);
        at += known ? strlen(w->ko + at) : n;
        if (at + 3 > sizeof w->ko)
            return (struct two){name, name};
        if (!end)
            break;
        memcpy(w->ko + at, ", ", 2);
        at += 2;
        p = end + 2;
    }
    w->ko[at] = 0;
    return (struct two){name, w->ko};
}
