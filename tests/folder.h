/* A folder of its own for each test of a program, and the paths in it. */
#ifndef DK_TESTS_FOLDER_H
#define DK_TESTS_FOLDER_H

#include "harness.h"

static char dir[256];

static inline int folder_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "%s", test_dir());
    return 0;
}

static inline int folder_down(void **state)
{
    (void)state;
    test_dir_remove(dir);
    return 0;
}

/* Valid for three more calls. */
static inline const char *in_dir(const char *name)
{
    static char path[4][400];
    static int turn;
    char *p = path[turn++ & 3];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

#endif
