/* Whether the thread sanitizer sees a race (`race`; `wide`: in stores wider than a register of plain C), and none where
 * OpenMP orders the accesses (`order`).  It knows of a barrier or a task's end only what the OpenMP library says. */
#include <stdio.h>
#include <string.h>

enum { N = 64, THREADS = 3 };

/* The last of them to write wins. */
static int race(void)
{
    int last = 0;
#pragma omp parallel num_threads(THREADS)
    for (int i = 0; i < N; i++)
        last = i;
    return last == N - 1;
}

/* The same by vectors of 32 bytes, as kernels store. */
static int wide(void)
{
    typedef int vector __attribute__((vector_size(32)));
    volatile vector last = {0};
#pragma omp parallel num_threads(THREADS)
    for (int i = 0; i < N; i++)
        last = (vector){i};
    return last[0] == N - 1;
}

/* Each thread reads what others wrote, after a barrier; then what a task wrote, after the wait for it. */
static int order(void)
{
    int y[N] = {0}, sum = 0, made = 0;
#pragma omp parallel num_threads(THREADS)
    {
#pragma omp for schedule(static) nowait
        for (int i = 0; i < N; i++)
            y[i] = i;
#pragma omp barrier
#pragma omp for schedule(static) reduction(+ : sum)
        for (int i = 0; i < N; i++)
            sum += y[N - 1 - i];
#pragma omp single
        {
#pragma omp task shared(made)
            made = sum;
#pragma omp taskwait
            sum -= made;
        }
    }
    return made == N * (N - 1) / 2 && sum == 0;
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    int right = strcmp(what, "race") == 0 ? race() : strcmp(what, "wide") == 0 ? wide() : order();
    puts(right ? "right" : "wrong");
    return !right;
}
