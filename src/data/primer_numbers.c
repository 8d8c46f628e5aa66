/* Skills about numbers, in Korean: reading, counting, adding, weekdays, clocks, dates, units, order. */
#include <stdio.h>
#include <string.h>

#include "data/primer_skills.h"

#define LIST(...) (const char *const[]){__VA_ARGS__, NULL}
#define QA(...) (const struct qa[]){__VA_ARGS__, {NULL, NULL, 0}}

/* ---- reading: hundreds, tens, ones ↔ 삼백-사십-칠, place by place as it is taught first ---- */
static void number_draw(struct fact *f, struct rng *r, bool held)
{
    do
        f->v[0] = between(r, 101, 999);
    while (fact_held(SPACE_NUMBER, f->v[0], 0, 0, 0) != held);
}

static void number_fill(struct slots *sl, const struct fact *f)
{
    char t[64];
    int n = f->v[0];

    slot_int(sl, 0, n / 100);
    slot_int(sl, 1, n / 10 % 10);
    slot_int(sl, 2, n % 10);
    ko_sino(t, n);
    slot_join(sl, 3, t, NULL, NULL);
    slot_int(sl, 4, n);
    en_number(t, n);
    slot_join(sl, 5, t, NULL, NULL);
    slot_join(sl, 6, sl->s[0], n / 100 == 1 ? " hundred" : " hundreds", NULL);
    slot_join(sl, 7, sl->s[1], n / 10 % 10 == 1 ? " ten" : " tens", NULL);
    slot_join(sl, 8, sl->s[2], n % 10 == 1 ? " one" : " ones", NULL);
    ko_sino_places(t, n);
    slot_join(sl, 9, t, NULL, NULL);
}

const struct skill skill_ko_number = {
    .pub = {"ko-number", "ko", "three-digit numbers and their Sino-Korean readings", "세 자리 수와 한자어 읽기"},
    .weight = 10, .draw = number_draw, .fill = number_fill, .title = "세 자리 수 읽기",
    .explain = LIST("세 자리 수는 백의 자리, 십의 자리, 일의 자리로 이루어진다.", "앞에서부터 자리마다 숫자를 읽고 백과 십을 붙인다.",
        "끊어 읽을 때는 자리와 자리 사이에 줄표를 넣는다.",
        "백의 자리나 십의 자리 숫자가 1이면 ‘일’을 빼고 ‘백’, ‘십’이라고만 읽는다.", "숫자가 0인 자리는 읽지 않고 건너뛴다.",
        "일의 자리 숫자 뒤에는 아무 말도 붙이지 않는다.", "보통 글에서는 줄표 없이 이어서 쓴다."),
    .state = LIST("100이 {0}개, 10이 {1}개, 1이 {2}개인 수는 ‘{9}’{9:라}고 끊어 읽는다.", "‘{9}’{9:은} 붙여 쓰면 ‘{3}’{3:다}.",
        "{4}{4:은} ‘{3}’{3:라}고 읽는다.", "‘{9}’에는 100이 {0}개, 10이 {1}개, 1이 {2}개 들어 있다."),
    .drill = "100이 {0}개, 10이 {1}개, 1이 {2}개 → {9}",
    .qa = QA({"100이 {0}개, 10이 {1}개, 1이 {2}개인 수를 끊어 읽으면?", "{9}", 1.0 / 899},
        {"100이 {0}개, 10이 {1}개, 1이 {2}개. 끊어 읽으시오.", "{9}", 1.0 / 899}),
};

/* ---- the same numbers in English ---- */
const struct skill skill_en_number = {
    .pub = {"en-number", "en", "three-digit numbers in English words", "영어로 세 자리 수 쓰기"},
    .weight = 10, .draw = number_draw, .fill = number_fill, .title = "writing numbers in words",
    .explain = LIST("A three-digit number has hundreds, tens and ones.",
        "Say the hundreds first, then the tens and the ones.",
        "From twenty-one to ninety-nine we put a hyphen between the tens and the ones.", "A zero is not read at all.",
        "The numbers from ten to nineteen have names of their own."),
    .state = LIST("{6}, {7} and {8} make {5}.", "The words {5} stand for {6}, {7} and {8}.", "We read {4} as {5}."),
    .drill = "{6}, {7}, {8} = {5}",
    .qa = QA({"Write {6}, {7} and {8} in words.", "{5}", 1.0 / 899}, {"Which number has {6}, {7} and {8}?", "{5}",
        1.0 / 899}),
};

/* ---- counting words: 고양이 네 마리 ---- */
static void count_draw(struct fact *f, struct rng *r, bool held)
{
    do {
        f->v[0] = pick(r, N_COUNTED);
        f->v[1] = between(r, 1, 29);
    } while (fact_held(SPACE_COUNT, f->v[0], f->v[1], 0, 0) != held);
}

static void count_fill(struct slots *sl, const struct fact *f)
{
    const struct counted *c = &counted_nouns[f->v[0]];
    char t[64];

    slot_join(sl, 0, c->noun, NULL, NULL);
    slot_int(sl, 1, f->v[1]);
    ko_native(t, f->v[1]);
    slot_join(sl, 2, t, " ", c->counter);
    slot_join(sl, 3, c->counter, NULL, NULL);
}

const struct skill skill_ko_counting = {
    .pub = {"ko-counting", "ko", "native Korean numbers with counting words", "고유어 수와 세는 말"},
    .weight = 10, .draw = count_draw, .fill = count_fill, .title = "물건을 세는 말",
    .explain = LIST("물건을 셀 때는 하나, 둘, 셋이 세는 말 앞에서 한, 두, 세로 바뀐다.", "무엇을 세느냐에 따라 세는 말이 다르다.",
        "살아 움직이는 짐승은 마리, 사람은 명으로 센다.", "책은 권, 종이는 장, 연필은 자루로 센다.",
        "스물은 세는 말 바로 앞에서 스무가 된다.", "차는 대, 꽃은 송이, 서 있는 나무는 그루로 센다."),
    .state = LIST("{0} {2}{3:이} 있다.", "{0}{0:은} ‘{3}’{3:로} 세므로 {1}{1:은} {0} {2}{3:라}고 쓴다.",
        "그림 속의 {0}{0:은} 모두 {2}{3:다}."),
    .drill = "{0} {1} → {0} {2}",
    .qa = QA({"{0} {1}, 세는 말로 쓰면?", "{0} {2}", 1.0 / (29 * 14)}, {"세는 말을 붙이시오: {0} {1}", "{0} {2}", 1.0 / (29 * 14)}),
};

/* ---- adding two-digit numbers (20 and up) without a carry: bundles of ten, and words ---- */
static void sum_draw(struct fact *f, struct rng *r, bool held)
{
    do {
        int t = between(r, 4, 9), u = between(r, 0, 9), ta = between(r, 2, t - 2), ua = between(r, 0, u);
        f->v[0] = 10 * ta + ua;
        f->v[1] = 10 * (t - ta) + u - ua;
    } while (sum_held(f->v[0], f->v[1]) != held);
}

static void sum_fill(struct slots *sl, const struct fact *f)
{
    int n[3] = {f->v[0], f->v[1], f->v[0] + f->v[1]};
    char t[64];

    for (int i = 0; i < 3; i++) {
        slot_int(sl, 3 * i, n[i] / 10);
        slot_int(sl, 3 * i + 1, n[i] % 10);
        slot_int(sl, 3 * i + 2, n[i]);
        en_number(t, n[i]);
        slot_join(sl, 9 + i, t, NULL, NULL);
    }
}

const struct skill skill_ko_addition = {
    .pub = {"ko-addition", "ko", "adding two-digit numbers by tens and ones", "묶음과 낱개로 더하기"},
    .weight = 10, .draw = sum_draw, .fill = sum_fill, .title = "묶음과 낱개로 하는 덧셈",
    .explain = LIST("두 자리 수는 10개씩 묶음과 낱개로 나누어 생각한다.", "더할 때는 묶음은 묶음끼리, 낱개는 낱개끼리 더한다.",
        "낱개의 합이 10보다 작으면 받아올림이 없다.", "더하는 차례를 바꾸어도 합은 같다.", "먼저 묶음을 더하고 그다음에 낱개를 더한다."),
    .state = LIST("묶음 {0}, 낱개 {1}에 묶음 {3}, 낱개 {4}{4:을} 더하면 묶음 {6}, 낱개 {7}{7:다}.",
        "묶음은 {0} + {3} = {6}{6:고} 낱개는 {1} + {4} = {7}{7:므} {2} + {5} = {8}{8:다}."),
    .drill = "묶음 {0}, 낱개 {1} 더하기 묶음 {3}, 낱개 {4} → 묶음 {6}, 낱개 {7}",
    .qa = QA({"묶음 {0}, 낱개 {1} 더하기 묶음 {3}, 낱개 {4}{4:은}?", "묶음 {6}, 낱개 {7}", 1.0 / 60},
        {"묶음 {0}, 낱개 {1}에 묶음 {3}, 낱개 {4}{4:을} 더하면?", "묶음 {6}, 낱개 {7}", 1.0 / 60}),
};

const struct skill skill_en_addition = {
    .pub = {"en-addition", "en", "adding two-digit numbers in words", "영어 낱말로 더하기"},
    .weight = 12, .draw = sum_draw, .fill = sum_fill, .title = "adding numbers in words",
    .explain = LIST("To add two numbers, add the tens to the tens and the ones to the ones.",
        "The order of the two numbers does not matter.",
        "When the ones make less than ten, nothing is carried.", "First find the tens of the answer, then its ones.",
        "Plus means that we put two amounts together."),
    .state = LIST("{9} plus {a} is {b}.", "If we add {9} and {a}, we get {b}.", "The sum of {9} and {a} is {b}."),
    .drill = "{9} + {a} = {b}",
    .qa = QA({"What is {9} plus {a}?", "{b}", 1.0 / 60}, {"Add {9} and {a}.", "{b}", 1.0 / 60}),
};

/* ---- weekdays: N days later, with the reasoning in the answer ---- */
static void weekday_draw(struct fact *f, struct rng *r, bool held)
{
    do {
        f->v[0] = pick(r, 7);
        f->v[1] = 7 * between(r, 1, 12) + pick(r, 3);         /* whole weeks and at most two days */
    } while (fact_held(SPACE_WEEKDAY, f->v[0], f->v[1], 0, 0) != held);
}

static void weekday_fill(struct slots *sl, const struct fact *f)
{
    int n = f->v[1], rest = n % 7;

    slot_join(sl, 0, ko_days[f->v[0]], NULL, NULL);
    slot_int(sl, 1, n);
    slot_int(sl, 2, n / 7);
    slot_int(sl, 3, rest);
    slot_join(sl, 4, ko_days[(f->v[0] + n) % 7], NULL, NULL);
}

const struct skill skill_ko_weekday = {
    .pub = {"ko-weekday", "ko", "the weekday after a number of days", "며칠 뒤의 요일"},
    .weight = 12, .draw = weekday_draw, .fill = weekday_fill, .title = "며칠 뒤의 요일",
    .explain = LIST("일주일은 7일이고 같은 요일은 7일마다 돌아온다.", "날수를 7로 나누어 몇 주와 며칠인지 먼저 알아본다.",
        "남은 날수만큼만 요일을 앞으로 옮기면 된다.", "남은 날이 0일이면 요일은 그대로이다.",
        "요일은 월, 화, 수, 목, 금, 토, 일의 차례로 이어진다."),
    .state = LIST("{1}일은 {2}주 {3}일이므로 {0}에서 {1}일이 지나면 {4}이다.", "{0}에서 {1}일 뒤는 {4}이다. {1}일은 {2}주 {3}일이기 때문이다."),
    .drill = "{1}일은 {2}주 {3}일, {0}에서 {3}일 뒤는 {4}",
    .qa = QA({"{0}에서 {1}일 뒤는?", "{1}일은 {2}주 {3}일, {0}에서 {3}일 뒤는 {4}", 1.0 / 7},
        {"오늘이 {0}이면 {1}일 뒤는?", "{1}일은 {2}주 {3}일, {0}에서 {3}일 뒤는 {4}", 1.0 / 7}),
};

/* ---- clock times ---- */
static void clock_draw(struct fact *f, struct rng *r, bool held)
{
        do {
        f->v[0] = between(r, 1, 12);
        f->v[1] = 10 * pick(r, 6);
        f->v[2] = 10 * between(r, 1, 3);
    } while (fact_held(SPACE_CLOCK, f->v[0], f->v[1], f->v[2], 0) != held);
}

static void clock_text(struct slots *sl, int i, int h, int m)
{
    char t[64];

    if (m)
        snprintf(t, sizeof t, "%d시 %d분", h, m);
    else
        snprintf(t, sizeof t, "%d시 정각", h);
    slot_join(sl, i, t, NULL, NULL);
}

static void clock_fill(struct slots *sl, const struct fact *f)
{
    int m = f->v[1] + f->v[2];

    clock_text(sl, 0, f->v[0], f->v[1]);
    slot_int(sl, 1, f->v[2]);
    clock_text(sl, 2, m < 60 ? f->v[0] : f->v[0] % 12 + 1, m % 60);
}

const struct skill skill_ko_clock = {
    .pub = {"ko-clock", "ko", "clock times after some minutes", "몇 분 뒤의 시각"},
    .weight = 14, .draw = clock_draw, .fill = clock_fill, .title = "시각과 시간",
    .explain = LIST("1시간은 60분이다.", "분끼리 더한 값이 60보다 작으면 시는 그대로이다.",
        "분끼리 더해서 60이거나 60보다 크면 시에 1을 더하고 분에서 60을 뺀다.", "12시 다음은 1시이다.", "시각은 때를 가리키고, 시간은 때와 때의 사이를 가리킨다."),
    .state = LIST("{0}에서 {1}분 뒤는 {2}이다.", "{0}에 시작해서 {1}분 동안 하면 {2}에 끝난다.", "{0}에서 {1}분이 지나면 {2}이 된다."),
    .drill = "{0} + {1}분 = {2}",
    .qa = QA({"{0}에서 {1}분 뒤는?", "{2}", 1.0 / 72}, {"{0}에서 {1}분이 지나면?", "{2}", 1.0 / 72}),
};

/* ---- dates in words ---- */
static void date_fill(struct slots *sl, const struct fact *f)
{
    static const char *const month[12] = {"일월", "이월", "삼월", "사월", "오월", "유월", "칠월", "팔월", "구월", "시월", "십일월", "십이월"};
    char t[64];

    slot_int(sl, 0, f->v[0]);
    slot_int(sl, 1, f->v[1]);
    ko_sino(t, f->v[1]);
    slot_join(sl, 2, month[f->v[0] - 1], " ", t);
}

static const int month_days[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

void date_draw(struct fact *f, struct rng *r, bool held)
{
    do {
        f->v[0] = between(r, 1, 12);
        f->v[1] = between(r, 1, month_days[f->v[0] - 1]);
    } while (fact_held(SPACE_DATE, f->v[0], f->v[1], 0, 0) != held);
}

const struct skill skill_ko_date = {
    .pub = {"ko-date", "ko", "dates read in words", "날짜를 한글로 읽기"},
    .weight = 8, .draw = date_draw, .fill = date_fill, .title = "날짜 읽기",
    .explain = LIST("날짜는 달과 날을 한자어 수로 읽는다.", "6월은 ‘육월’이 아니라 ‘유월’이라고 읽는다.", "10월은 ‘십월’이 아니라 ‘시월’이라고 읽는다.",
        "11월과 12월은 ‘십일월’, ‘십이월’이라고 읽는다.", "한 해는 열두 달이다."),
    .state = LIST("{0}월 {1}일은 {2}일이라고 읽는다.", "달력의 {0}월 {1}일을 소리 내어 읽으면 {2}일이다.", "{2}일을 숫자로 쓰면 {0}월 {1}일이다."),
    .drill = "{0}월 {1}일 → {2}일",
    .qa = QA({"{0}월 {1}일을 한글로 쓰면?", "{2}일", 1.0 / 366}, {"{0}월 {1}일을 읽으시오.", "{2}일", 1.0 / 366}),
};

/* ---- units: a thousand small ones make a big one ---- */
static void unit_draw(struct fact *f, struct rng *r, bool held)
{
    do {
        f->v[0] = pick(r, N_UNITS);
        f->v[1] = between(r, 2, 99);
    } while (fact_held(SPACE_UNIT, f->v[0], f->v[1], 0, 0) != held);
}

static void unit_fill(struct slots *sl, const struct fact *f)
{
    slot_int(sl, 0, f->v[1]);
    slot_join(sl, 1, big_small_units[f->v[0]].ko, NULL, NULL);
    slot_join(sl, 2, big_small_units[f->v[0]].en, NULL, NULL);
}

const struct skill skill_ko_unit = {
    .pub = {"ko-unit", "ko", "changing units of length, weight and volume", "길이, 무게, 들이의 단위 바꾸기"},
    .weight = 8, .draw = unit_draw, .fill = unit_fill, .title = "단위 바꾸기",
    .explain = LIST("1킬로그램은 1,000그램이다.", "1킬로미터는 1,000미터이다.", "1리터는 1,000밀리리터이다.", "1톤은 1,000킬로그램이다.",
        "1미터는 1,000밀리미터이다.", "큰 단위를 작은 단위로 바꾸면 수는 커지고 크기는 그대로이다."),
    .state = LIST("{0}{1}{1:은} {0},000{2}{2:다}.", "{0},000{2}{2:은} {0}{1}{1:과} 같다."),
    .drill = "{0}{1} = {0},000{2}",
    .qa = QA({"{0}{1}{1:은} 몇 {2}인가?", "{0},000{2}", 1.0 / N_UNITS}, {"{0}{1}{1:을} 더 작은 단위로 바꾸시오.", "{0},000{2}",
        1.0 / N_UNITS},
        {"{0},000{2}{2:은} 몇 {1}인가?", "{0}{1}", 1.0 / N_UNITS}),
};

/* ---- larger and smaller ---- */
static void less_draw(struct fact *f, struct rng *r, bool held)
{
    do
        pick_distinct(r, f->v, 2, 99);
    while (less_held(f->v[0] + 1, f->v[1] + 1) != held);
}

static void less_fill(struct slots *sl, const struct fact *f)
{
    int a = f->v[0] + 1, b = f->v[1] + 1;

    slot_int(sl, 0, a);
    slot_int(sl, 1, b);
    slot_int(sl, 2, a < b ? b : a);
    slot_int(sl, 3, a < b ? a : b);
}

const struct skill skill_ko_compare = {
    .pub = {"ko-compare", "ko", "the larger or the smaller of two numbers", "두 수의 크기 비교"},
    .weight = 10, .draw = less_draw, .fill = less_fill, .title = "두 수의 크기 비교",
    .explain = LIST("두 자리 수끼리는 십의 자리를 먼저 비교한다.", "십의 자리가 같으면 일의 자리를 비교한다.", "한 자리 수는 두 자리 수보다 작다.",
        "수직선에서는 오른쪽에 있는 수가 더 크다.", "큰 쪽으로 벌어진 기호로 크기를 나타낸다."),
    .state = LIST("{0}, {1} 가운데 큰 수는 {2}{2:다}.", "{0}, {1} 가운데 작은 수는 {3}{3:다}.", "{2}{2:은} {3}보다 크다.",
        "{3}{3:은} {2}보다 작다."),
    .drill = "{0}, {1} → 큰 수 {2}, 작은 수 {3}",
    .qa = QA({"{0}, {1} 가운데 큰 수는?", "{2}", 0.5}, {"{0}, {1} 가운데 작은 수는?", "{3}", 0.5}),
};

/* ---- three numbers in order: every pair in it must be a fact the textbook may tell ---- */
static void sort3(int v[3])
{
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2 - i; j++)
            if (v[j] > v[j + 1]) {
                int t = v[j];
                v[j] = v[j + 1];
                v[j + 1] = t;
            }
}

static void order_draw(struct fact *f, struct rng *r, bool held)
{
    for (;;) {
        int v[3];
        for (int i = 0; i < 3; i++)
            do
                v[i] = between(r, 1, 50);
            while ((i > 0 && v[i] == v[0]) || (i > 1 && v[i] == v[1]));
        memcpy(f->v, v, sizeof v);
        sort3(v);
        if (less_held(v[0], v[1]) || less_held(v[0], v[2]) || less_held(v[1], v[2]))
            continue;
        if (fact_held(SPACE_SORTED, v[0], v[1], v[2], 0) == held)
            return;
    }
}

static void order_fill(struct slots *sl, const struct fact *f)
{
    int v[3] = {f->v[0], f->v[1], f->v[2]};

    for (int i = 0; i < 3; i++)
        slot_int(sl, i, v[i]);
    sort3(v);
    for (int i = 0; i < 3; i++)
        slot_int(sl, 3 + i, v[i]);
}

const struct skill skill_ko_order = {
    .pub = {"ko-order", "ko", "putting three numbers in order", "세 수를 차례로 쓰기"},
    .weight = 12, .draw = order_draw, .fill = order_fill, .title = "수의 차례",
    .explain = LIST("차례로 쓸 때는 먼저 가장 작은 수를 찾는다.", "가장 작은 수를 쓴 다음 남은 수 가운데 작은 수를 쓴다.", "마지막에는 가장 큰 수가 남는다.",
        "다 쓴 뒤에는 뒤로 갈수록 커지는지 다시 살펴본다."),
    .state = LIST("{0}, {1}, {2}{2:을} 작은 수부터 쓰면 {3}, {4}, {5}{5:다}.",
        "세 수 {0}, {1}, {2} 가운데 가장 작은 수는 {3}, 가장 큰 수는 {5}{5:다}."),
    .drill = "{0}, {1}, {2} → {3}, {4}, {5}",
    .qa = QA({"{0}, {1}, {2}{2:을} 작은 수부터 쓰면?", "{3}, {4}, {5}", 1.0 / 6}, {"작은 수부터 쓰시오: {0}, {1}, {2}",
        "{3}, {4}, {5}", 1.0 / 6}),
};
