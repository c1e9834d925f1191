// Products of experts with GGUF's Q4_K, as matmul_q4_k.cuh describes them.
#include "matmul_q4_k.cuh"

EXPERT_MATMUL(q4_k, Q4_K)
