/* keeper/keeper.h - the process that knows secrets: verifies agents, evaluates who may connect,
 * opens targets, computes proofs and signatures, serves the administrative requests. It reads no
 * client's protocol, only our own messages. */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

/* The process: takes its orders from the supervisor over `channel`. Returns the exit status. */
int keeper_run(int channel);

#endif
