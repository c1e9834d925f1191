// Products with GGUF's Q8_0, as matmul_q8_0.cuh describes them.
#include "matmul_q8_0.cuh"

MATMUL(q8_0, Q8_0)
