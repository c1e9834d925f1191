// Products with GGUF's Q4_0, as matmul_q4_0.cuh describes them.
#include "matmul_q4_0.cuh"

MATMUL(q4_0, Q4_0)
