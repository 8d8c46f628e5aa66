#include "lineage/probe.h"

#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "text/unicode.h"

enum { MAX_FILE = 64 << 20 };

static const char *const builtin[] = {
    "아침 안개가 걷히자 강 건너 마을의 지붕이 하나씩 보이기 시작했다.",
    "The harbour was quiet when the first boat came in, its deck still wet from the night.",
    "할머니는 장독대 뚜껑을 열고 된장 냄새를 맡아 보더니 고개를 끄덕였다.",
    "A proof is a list of steps, each of which follows from the ones before it.",
    "기차가 두 시간 늦게 도착해서 우리는 역 앞 식당에서 국수를 먹으며 기다렸다.",
    "If seven apples cost 21 coins, then three apples cost 9 and ten apples cost 30.",
    "이 식물은 햇빛보다 물에 더 민감하므로 흙이 마르면 바로 물을 주어야 한다.",
    "She wrote the letter twice, once in pencil and once in ink, and sent neither.",
    "서울의 인구는 1950년에 약 170만 명이었고 그 뒤 마흔 해 동안 여섯 배가 되었다.",
    "for (i = 0; i < n; i++) { sum += value[i]; } return sum / n;",
    "물은 섭씨 100도에서 끓지만 높은 산에서는 기압이 낮아 더 낮은 온도에서 끓는다.",
    "The committee met on Tuesday, and nobody could remember who had called the meeting.",
    "아이가 물었다. \"달은 왜 우리를 따라와요?\" 아버지는 웃으며 창문을 열었다.",
    "Salt lowers the freezing point of water, which is why roads are salted in winter.",
    "그는 계약서를 끝까지 읽고 나서야 세 번째 조항이 빠져 있다는 것을 알았다.",
    "Turn left at the old mill, cross the bridge, and the house with green doors is ours.",
    "바이올린 소리가 멎자 사람들은 잠시 숨을 죽였다가 한꺼번에 손뼉을 쳤다.",
    "A good map leaves out almost everything, and a bad map leaves out the wrong things.",
    "다음 중 옳은 것을 고르시오. 가) 고래는 물고기이다. 나) 고래는 젖먹이 동물이다.",
    "Memory is cheap, attention is not: keep the sentence short and the meaning whole.",
    "겨울이 길어질수록 창고의 쌀은 줄었고 마을 사람들은 봄을 이야기하기 시작했다.",
    "In 1912 the ship left port with 2,224 people aboard; the newspapers called it safe.",
    "회의는 오후 세 시에 시작합니다. 늦으시는 분은 미리 연락해 주시기 바랍니다.",
    "What cannot be measured may still be true, but it cannot be used to settle a bet.",
};

static bool blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\v\f", p[i]) || !p[i])
            return false;
    return true;
}

/* One sequence, as far as there is room: *full when there is none left. */
static int add(struct probe *p, bool *full, const char *line, size_t n, struct err *e)
{
    if (blank(line, n))
        return 0;
    size_t at = p->text.len;
    *full = p->n == PROBE_MAX_SEQ;
    if (*full)
        return 0;
    int rc = uc_nfc(&p->text, (const unsigned char *)line, n, e);
    if (rc)
        return rc;
    if (p->text.len > PROBE_MAX_BYTES) {
        *full = true;
        p->text.len = PROBE_MAX_BYTES;
        bool maybe = false;
        p->text.len = uc_valid((const unsigned char *)p->text.p, p->text.len, &maybe);
    }
    if (p->text.len > at)
        p->start[++p->n] = p->text.len;
    return 0;
}

int probe_builtin(struct probe *p, struct err *e)
{
    bool full = false;
    int rc = 0;
    *p = (struct probe){.n = 0};
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin && rc == 0; i++)
        rc = add(p, &full, builtin[i], strlen(builtin[i]), e);
    if (rc)
        probe_release(p);
    return rc;
}

static int add_lines(struct probe *p, const char *text, size_t n, struct err *e)
{
    bool full = false;
    int rc = 0;
    for (size_t at = 0, len; at < n && !full && rc == 0; at += len + 1) {
        const char *end = memchr(text + at, '\n', n - at);
        len = end ? (size_t)(end - (text + at)) : n - at;
        size_t shown = len > 0 && text[at + len - 1] == '\r' ? len - 1 : len;
        rc = add(p, &full, text + at, shown, e);
    }
    return rc;
}

int probe_read(struct probe *p, const char *path, struct err *e)
{
    struct buf b = {0};
    *p = (struct probe){.n = 0};
    int rc = file_read(&b, path, MAX_FILE, e);
    if (rc == 0)
        rc = uc_check(path, b.p, b.len, e);
    if (rc == 0)
        rc = add_lines(p, b.p, b.len, e);
    if (rc == 0 && p->n == 0)
        rc = err_set(e, ERR_VALUE, "%s: holds no text, expected lines to run through the models", path);
    buf_release(&b);
    if (rc)
        probe_release(p);
    return rc;
}

void probe_release(struct probe *p)
{
    buf_release(&p->text);
    *p = (struct probe){.n = 0};
}
