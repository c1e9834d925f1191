// Kernels with one fault each, and their correct twins, for the emulator's own tests.
#include "device.cuh"

// Every thread reads its neighbour's word of shared memory.
template <bool WithBarrier> DEVICE void exchange(global_ptr<uint32_t> out)
{
    shared_ptr<uint32_t> words = shared_at<uint32_t>(shared_base());
    words[thread_index()] = static_cast<uint32_t>(thread_index());
    if (WithBarrier)
        barrier();
    out[thread_index()] = words[thread_count() - 1 - thread_index()];
}
KERNEL(exchange_with_barrier, 128, 1, (global_ptr<uint32_t> out)) { exchange<true>(out); }
KERNEL(exchange_without_barrier, 128, 1, (global_ptr<uint32_t> out)) { exchange<false>(out); }

KERNEL(write_at, 32, 1, (global_ptr<uint32_t> out, int index)) { out[index + thread_index()] = 1u; }
KERNEL(read_vector_at, 32, 1, (global_ptr<const uint8_t> from, int offset, global_ptr<uint4> out))
{
    out[thread_index()] = load(cast<const uint4>(from + offset));
}
KERNEL(shared_at_offset, 32, 1, (uint32_t offset, global_ptr<uint32_t> out))
{
    shared_ptr<uint32_t> word = shared_at<uint32_t>(shared_base() + offset);
    if (thread_index() == 0) {
        *word = 5u;
        out[0] = *word;
    }
}
KERNEL(divergent_barrier, 64, 1, (global_ptr<uint32_t> out))
{
    if (thread_index() % 2 == 0)
        barrier();
    else
        barrier();
    out[thread_index()] = 1u;
}
KERNEL(barrier_of_some, 64, 1, (global_ptr<uint32_t> out))
{
    if (thread_index() < 40)
        barrier(1, 64);
    out[thread_index()] = 1u;
}
KERNEL(wrong_mask, 32, 1, (global_ptr<uint32_t> out, uint32_t mask))
{
    if (thread_index() < 16)
        out[thread_index()] = shuffle_xor(static_cast<uint32_t>(thread_index()), 1, mask);
}
KERNEL(diverged_collectives, 32, 1, (global_ptr<uint32_t> out))
{
    uint32_t value = static_cast<uint32_t>(thread_index());
    if (thread_index() < 16)
        value = shuffle_xor(value, 1);
    else
        value = shuffle_xor(value, 2);
    out[thread_index()] = value;
}

// Wait: how many groups may be under way when the copy's bytes are read.
template <int Wait> DEVICE void copy(global_ptr<const uint4> from, global_ptr<uint4> out)
{
    const uint32_t to = shared_base() + static_cast<uint32_t>(thread_index()) * 16;
    copy_async_16(to, from + thread_index());
    copy_async_commit();
    copy_async_wait<Wait>();
    out[thread_index()] = load(shared_at<uint4>(to));
}
KERNEL(copy_and_wait, 32, 1, (global_ptr<const uint4> from, global_ptr<uint4> out)) { copy<0>(from, out); }
KERNEL(copy_without_wait, 32, 1, (global_ptr<const uint4> from, global_ptr<uint4> out)) { copy<1>(from, out); }
