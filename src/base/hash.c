#include "base/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int hash_key_draw(struct hash_key *k, struct err *e)
{
    if (getrandom(k, sizeof *k, 0) != (ssize_t)sizeof *k)
        return err_set(e, ERR_IO, "no random bytes for tables: %s", strerror(errno));
    k->b |= 1; /* a product that loses nothing in its lower half */
    return 0;
}
