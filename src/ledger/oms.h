/* OpenSSF Model Signing v1.0: one detached signature over every file of a folder.
 *
 * A bundle (ledger/dsse.h) of an in-toto Statement v1 with one subject, the folder, whose sha256 is SHA-256 over the
 * raw digests of `predicate.resources` in order; the resources are the regular files, sorted by name, with '/' in it.
 * Left out are .git, .gitignore, .gitattributes and .github at the top, the signature itself, and what the caller
 * names; a file that stands neither among the resources nor among `serialization.ignore_paths` fails the check. */
#ifndef DK_LEDGER_OMS_H
#define DK_LEDGER_OMS_H

#include "base/digest.h"
#include "ledger/dsse.h"

struct oms_opts {
    const char *const *ignore;   /* paths in the folder, files or folders; NULL-terminated; NULL: none */
    const char *name;            /* of the model; NULL: the folder's */
};
/* Signs a folder (or one file) and replaces `out` with the signature; *root gets the subject's digest. */
int oms_sign(const char *dir, const char *out, const struct oms_opts *o, const struct dsse_key *k, struct digest *root,
             struct err *e) MUST_CHECK;

struct oms_report {
    struct digest root;
    uint64_t files, bytes;
};
/* The folder's files are those that `sig` lists, each with its digest, and the signature is by k.  The sentence names
 * the first file that differs. */
int oms_verify(const char *dir, const char *sig, const struct dsse_key *k, struct oms_report *r,
               struct err *e) MUST_CHECK;

#endif
