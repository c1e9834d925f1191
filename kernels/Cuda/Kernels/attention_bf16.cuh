// A piece of paged attention over a cache in BF16.
#pragma once
#include "attention.cuh"

struct Bf16Cache {
    static constexpr int Bytes = 2;

    template <int HeadDim> DEVICE void prepare(Queries<HeadDim>& q, uint32_t address, float scale_log2)
    {
        hold_queries(q, address);
        q.factor[0] = q.factor[1] = scale_log2;
    }

    // scores[0..1] = q . keys of a piece's 16 tokens.
    template <int HeadDim> DEVICE void score_piece(float (*scores)[4], const Queries<HeadDim>& q, uint32_t piece, uint32_t)
    {
        const int token = (lane_index() & 7) + 8 * (lane_index() >> 4), vector = (lane_index() >> 3) & 1;
        const FragmentAddress<HeadDim / 8> address = fragment_address<HeadDim / 8>(piece, token, vector);
        UNROLL for (int k = 0; k < HeadDim / 16; ++k) {
            uint32_t keys[4];
            load_matrix_x4(keys, step(address, k));
            if constexpr (Queries<HeadDim>::Held) {
                mma_bf16(scores[0], q.fragments[k], keys);
                mma_bf16(scores[1], q.fragments[k], keys + 2);
            } else {
                uint32_t queries[4];
                load_fragment<HeadDim>(queries, q.address, k);
                mma_bf16(scores[0], queries, keys);
                mma_bf16(scores[1], queries, keys + 2);
            }
        }
    }

    // A tile's scores become probabilities relative to the new maximum, and the state is rescaled to it.
    template <int HeadDim, int Columns>
    DEVICE void softmax_step(State<HeadDim>& state, float (&scores)[Columns][4], const Queries<HeadDim>& q, uint32_t)
    {
        float factor[2];
        UNROLL for (int half = 0; half < 2; ++half) {
            float top = scores[0][2 * half];
            UNROLL for (int n = 0; n < Columns; ++n)
                UNROLL for (int e = 0; e < 2; ++e)
                    top = maximum(top, scores[n][2 * half + e]);
            top = maximum(state.maximum[half], row_maximum(top) * q.factor[half]);
            const float base = finite(top);
            factor[half] = exp2_approx(state.maximum[half] - base);
            float sum = 0.0f;
            UNROLL for (int n = 0; n < Columns; ++n)
                UNROLL for (int e = 0; e < 2; ++e) {
                    const float p = exp2_approx(fmadd(scores[n][2 * half + e], q.factor[half], -base));
                    scores[n][2 * half + e] = p;
                    sum += p;
                }
            state.maximum[half] = top;
            state.sum[half] = fmadd(state.sum[half], factor[half], sum);
        }
        rescale(state, factor);
    }

    // values += probabilities . values of a piece's 16 tokens; the scores' registers are the A fragment.
    template <int HeadDim> DEVICE void add_piece(State<HeadDim>& state, const float (*probabilities)[4], uint32_t piece)
    {
        const uint32_t weights[4] = {
            pack_bf16(probabilities[0][0], probabilities[0][1]), pack_bf16(probabilities[0][2], probabilities[0][3]),
            pack_bf16(probabilities[1][0], probabilities[1][1]), pack_bf16(probabilities[1][2], probabilities[1][3])};
        const FragmentAddress<HeadDim / 8> address = fragment_address<HeadDim / 8>(piece, fragment_row(), fragment_vector());
        UNROLL for (int k = 0; k < HeadDim / 16; ++k) {
            uint32_t values[4];
            load_matrix_x4_transposed(values, step(address, k));
            mma_bf16(state.values[2 * k], weights, values);
            mma_bf16(state.values[2 * k + 1], weights, values + 2);
        }
    }

    // The sums over all of a row's lanes; closes a chunk.
    template <int HeadDim> DEVICE void close_sums(State<HeadDim>& state)
    {
        UNROLL for (int half = 0; half < 2; ++half) {
            state.sum[half] += shuffle_xor(state.sum[half], 1);
            state.sum[half] += shuffle_xor(state.sum[half], 2);
        }
    }

    // The lane's elements of a row, times a factor and rounded, or as they are. Adding zero is what a fold does, so that even a negative
    // zero comes out alike.
    template <int HeadDim> DEVICE void write_row(const State<HeadDim>& state, int half, global_ptr<bf16> to, float factor)
    {
        to = to + 2 * (lane_index() & 3);
        UNROLL for (int n = 0; n < HeadDim / 8; ++n) {
            const float low = state.values[n][2 * half] + 0.0f, high = state.values[n][2 * half + 1] + 0.0f;
            store(cast<uint32_t>(to + 8 * n), pack_bf16(low * factor, high * factor));
        }
    }
    template <int HeadDim> DEVICE void write_row(const State<HeadDim>& state, int half, global_ptr<float> to)
    {
        to = to + 2 * (lane_index() & 3);
        UNROLL for (int n = 0; n < HeadDim / 8; ++n)
            store(cast<float2>(to + 8 * n), float2{state.values[n][2 * half], state.values[n][2 * half + 1]});
    }
};
