// Phases of independent tasks, run by the caller and by whichever threads of a pool come to help.

#ifndef JLSTM_TEAM_H
#define JLSTM_TEAM_H

#include <stdint.h>

typedef struct team team;

// One task of a phase; `kind` and `index` are those of the phase.
typedef void team_task(void *call, int kind, int64_t index, int64_t task);

// Asks a pool to run `help(team)` once, on some thread at some time; false if it will not.
typedef int team_schedule(void *pool, void (*help)(void *), void *team);

team *team_new(int64_t phases);  // NULL if there is no memory

// Add a phase of so many tasks, after those that have been added.
void team_add(team *t, int kind, int64_t index, int64_t tasks);

// Run all phases, each when the one before is done, and release the team.
void team_run(team *t, team_task *run, void *call, int64_t helpers, team_schedule *schedule,
              void *pool);

#endif
