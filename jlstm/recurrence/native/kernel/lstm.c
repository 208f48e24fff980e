// The LSTM over time, for one instruction set. JLSTM_SET names the table of its functions.
//
// What is done is in layout.h (packed weights, rows), forward.h and backward.h.

#include "backward.h"
#include "forward.h"

const instruction_set JLSTM_SET = {JLSTM_NAME, forward, backward};
