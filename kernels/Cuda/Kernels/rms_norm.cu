// y = x / sqrt(mean(x^2) + epsilon) * gain for each row; with `residual`, x + residual takes x's place and is written back there.
// Floor: x and y once each through memory, and residual twice.
//
// One CTA of 512 threads a row. A thread holds its first Held vectors of eight elements in registers and reads any further ones
// again. The sum's order depends on the row's width alone.
#include "quantize.cuh"

static constexpr int Threads = 512, Held = 4;

struct Unquantized {};
template <class A, class B> constexpr bool is_same = false;
template <class A> constexpr bool is_same<A, A> = true;

// The sum over the CTA, in every thread; the order is fixed.
DEVICE float cta_sum(float value)
{
    shared_ptr<float> partial = shared_at<float>(shared_base());
    value = warp_sum(value);
    if (lane_index() == 0)
        store(partial + warp_index(), value);
    barrier();
    return warp_sum(lane_index() < Threads / 32 ? load(partial + lane_index()) : 0.0f);
}

// Strides in elements. residual may be null. Q: y is quantized as well, to `quantized`.
template <class X, class Y, class Q = Unquantized>
DEVICE void rms_norm(global_ptr<const X> x, int x_stride, global_ptr<X> residual, int residual_stride, global_ptr<const float> gain,
                     global_ptr<Y> y, int y_stride, int width, float epsilon, const TiledRows& quantized = {})
{
    dependency_wait();
    const int row = block_x();
    x += static_cast<int64_t>(row) * x_stride;
    y += static_cast<int64_t>(row) * y_stride;
    const bool add = residual != nullptr;
    if (add)
        residual += static_cast<int64_t>(row) * residual_stride;
    const bool aligned = ((width | x_stride | y_stride | (add ? residual_stride : 0)) % Lanes) == 0;

    float held[Held][Lanes], sum = 0.0f;
    UNROLL for (int v = 0; v < Held; ++v) {
        const int column = (v * Threads + thread_index()) * Lanes;
        if (column < width) {
            load_vector<X>(held[v], x, column, width, aligned);
            if (add) {
                float other[Lanes];
                load_vector<X>(other, residual, column, width, aligned);
                UNROLL for (int i = 0; i < Lanes; ++i)
                    held[v][i] = to_float(from_float<X>(held[v][i] + other[i]));
                store_vector<X>(residual, held[v], column, width, aligned);
            }
            UNROLL for (int i = 0; i < Lanes; ++i)
                sum = fmadd(held[v][i], held[v][i], sum);
        }
    }
    NO_UNROLL for (int column = (Held * Threads + thread_index()) * Lanes; column < width; column += Threads * Lanes) {
        float value[Lanes];
        load_vector<X>(value, x, column, width, aligned);
        if (add) {
            float other[Lanes];
            load_vector<X>(other, residual, column, width, aligned);
            UNROLL for (int i = 0; i < Lanes; ++i)
                value[i] = to_float(from_float<X>(value[i] + other[i]));
            store_vector<X>(residual, value, column, width, aligned);
        }
        UNROLL for (int i = 0; i < Lanes; ++i)
            sum = fmadd(value[i], value[i], sum);
    }

    const float scale = 1.0f / square_root(cta_sum(sum) / static_cast<float>(width) + epsilon);
    launch_dependents();
    const global_ptr<const X> source = add ? global_ptr<const X>(residual) : x;
    // The values of y at a column, written there.
    const auto normalize = [&](const float* value, int column) {
        float factor[Lanes];
        load_vector<float>(factor, gain, column, width, aligned);
        UNROLL for (int i = 0; i < Lanes; ++i)
            factor[i] *= value[i] * scale;
        store_vector<Y>(y, factor, column, width, aligned);
        return pack_eight(factor);
    };
    const auto normalize_again = [&](int column) {
        float value[Lanes];
        load_vector<X>(value, source, column, width, aligned);
        return normalize(value, column);
    };
    if constexpr (is_same<Q, Unquantized>) {
        UNROLL for (int v = 0; v < Held; ++v)
            if (const int column = (v * Threads + thread_index()) * Lanes; column < width)
                normalize(held[v], column);
        NO_UNROLL for (int column = (Held * Threads + thread_index()) * Lanes; column < width; column += Threads * Lanes)
            normalize_again(column);
    } else {
        const uint4 zeros = {0, 0, 0, 0};
        quantize_row<Q, Threads, Held>(
            quantized, row, width, shared_base() + Threads / 32 * 4,
            [&](int v, int column) { return column < width ? normalize(held[v], column) : zeros; },
            [&](int column) { return column < width ? normalize_again(column) : zeros; });
    }
}

#define RMS_NORM(name, X, Y)                                                                                                    \
    KERNEL(name, Threads, 2, (global_ptr<const X> x, int x_stride, global_ptr<X> residual, int residual_stride,                 \
                              global_ptr<const float> gain, global_ptr<Y> y, int y_stride, int width, float epsilon))           \
    {                                                                                                                           \
        rms_norm<X, Y>(x, x_stride, residual, residual_stride, gain, y, y_stride, width, epsilon);                              \
    }
RMS_NORM(rms_norm_f32_f32, float, float)
RMS_NORM(rms_norm_f32_bf16, float, bf16)
RMS_NORM(rms_norm_bf16_bf16, bf16, bf16)

#define RMS_NORM_QUANTIZED(name, Q)                                                                                             \
    KERNEL(name, Threads, 2, (global_ptr<const float> x, int x_stride, global_ptr<const float> gain, global_ptr<bf16> y,        \
                              int y_stride, int width, float epsilon, const TiledRows quantized))                               \
    {                                                                                                                           \
        rms_norm<float, bf16, Q>(x, x_stride, nullptr, 0, gain, y, y_stride, width, epsilon, quantized);                        \
    }
RMS_NORM_QUANTIZED(rms_norm_s8, QuantizeS8)
#if __CUDA_ARCH__ >= 890
RMS_NORM_QUANTIZED(rms_norm_e4m3, QuantizeE4m3)
#endif
