/* Files that a command writes where its user points. */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"

int cli_may_write(const char *path, const char *mark, bool force, struct err *e)
{
    enum { BEGINNING = 2048 };
    char have[BEGINNING];
    struct stat st;
    int fd;
    if (!path || force || !file_exists(path))
        return 0;
    int rc = file_open_regular(&fd, &st, path, e);
    if (rc)
        return rc;
    ssize_t n = read(fd, have, sizeof have);
    close(fd);
    return n == 0 || (n > 0 && memmem(have, (size_t)n, mark, strlen(mark)))
               ? 0
               : err_set(e, ERR_VALUE, "%s: exists and is nothing that this command wrote; use --force to replace it, "
                                       "or give another name", path);
}
