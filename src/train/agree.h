/* A stored run against what is asked now: a run that goes on keeps its settings, and refuses others by name.
 * What no bit depends on (threads, memory, when checkpoints are written and which states are kept) may change, and a
 * length in minutes is not compared: it became steps when the run began. */
#ifndef DK_TRAIN_AGREE_H
#define DK_TRAIN_AGREE_H

#include "train/recipe.h"

/* 0, or ERR_VALUE and a sentence naming the first option that contradicts the run in folder dir, the run's value and
 * the one asked for; ERR_USAGE for names that mean nothing.  What was not said is not compared. */
int run_agrees(const struct run_config *c, const struct run_request *r, const char *dir, struct err *e) MUST_CHECK;

#endif
