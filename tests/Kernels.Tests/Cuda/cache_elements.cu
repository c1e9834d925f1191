// Elements of an 8-bit cache as F16, one register of four a thread.
#include "attention_8bit.cuh"

// out: [threads][4] even, odd, and the keys' two.
template <class Format> DEVICE void widen(global_ptr<const uint32_t> bytes, global_ptr<uint32_t> out, global_ptr<float> unit)
{
    uint32_t even, odd, keys[2];
    const uint32_t word = load(bytes + thread_index());
    Format::widen(even, odd, word);
    Format::widen_keys(keys, word);
    store(cast<uint4>(out) + thread_index(), uint4{even, odd, keys[0], keys[1]});
    if (thread_index() == 0) {
        store(unit, Format::Unit);
        store(unit + 1, Format::KeysInPairs ? 1.0f : 0.0f);
    }
}
KERNEL(widen_fp8, 64, 1, (global_ptr<const uint32_t> bytes, global_ptr<uint32_t> out, global_ptr<float> unit)) { widen<Fp8Format>(bytes, out, unit); }
KERNEL(widen_int8, 64, 1, (global_ptr<const uint32_t> bytes, global_ptr<uint32_t> out, global_ptr<float> unit)) { widen<Int8Format>(bytes, out, unit); }
