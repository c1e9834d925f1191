// Which drafts of a step are accepted, and their keys and values brought together.
// Floor: nothing to speak of for verify_draft, which is its launch; compact_drafts reads and writes an accepted draft's keys and values
// that are not in place once, 4 * HeadDim bytes a KV head and layer each way in BF16.
#include "device.cuh"

static constexpr int Threads = 128, Warps = Threads / 32, Ahead = 4;

// Mirror DraftBatch.cs: {first row of logits, first draft, drafts, 0}; {id, parent or -1}; {accepted drafts, id behind them}.
using DraftSequence = int4;
using DraftToken = int2;
using DraftResult = int2;

// A warp a sequence, whose lanes hold two of at most 64 drafts each: the draft is accepted that is a child of the last one and the id
// chosen at its row, until there is none. Grid: (sequences / Warps).
KERNEL(verify_draft, Threads, 4,
       (global_ptr<const int> chosen, global_ptr<const DraftSequence> sequences, global_ptr<const DraftToken> drafts, global_ptr<DraftResult> results,
        global_ptr<int> accepted, int count))
{
    dependency_wait();
    const int index = block_x() * Warps + warp_index();
    if (index >= count)
        return;
    const DraftSequence sequence = load(sequences + index);
    DraftToken draft[2];
    int id[2]; // chosen behind the draft
    UNROLL for (int i = 0; i < 2; ++i) {
        const int own = lane_index() + 32 * i;
        const bool exists = own < sequence.z;
        draft[i] = exists ? load(drafts + sequence.y + own) : DraftToken{-2, -2};
        id[i] = exists ? load(chosen + sequence.x + 1 + own) : -1;
    }
    int last = -1, next_id = load(chosen + sequence.x), length = 0;
    while (true) {
        uint32_t child = 64; // the first, should two have one id
        UNROLL for (int i = 1; i >= 0; --i)
            child = draft[i].x == next_id && draft[i].y == last ? lane_index() + 32 * i : child;
        child = warp_min(child);
        if (child == 64)
            break;
        last = static_cast<int>(child);
        if (lane_index() == 0)
            store(accepted + sequence.y + length, last);
        ++length;
        const int low = shuffle(id[0], last & 31), high = shuffle(id[1], last & 31);
        next_id = last < 32 ? low : high;
    }
    if (lane_index() == 0)
        store(results + index, DraftResult{length, next_id});
}

struct CompactArguments {
    global_ptr<uint8_t> cache;                // [region][block], as attention.cuh has the blocks; a region is the keys or values of a layer
    int64_t region_bytes;
    global_ptr<const DraftSequence> sequences;
    global_ptr<const DraftResult> results;
    global_ptr<const int> accepted;
    global_ptr<const int> logits_rows, slots; // of the batch: the token of a row of logits, the slot of a token
    int block_bytes, block_size, row_bytes, kv_heads, scale_bytes;
};

// Bytes of a token's part of `bytes` in a KV head, which lie in every block behind `first`, from slot to slot.
template <class T>
DEVICE void move_piece(const CompactArguments& a, global_ptr<uint8_t> region, const DraftSequence& sequence, int count, int first, int bytes)
{
    const global_ptr<const int> slots = a.slots + load(a.logits_rows + sequence.x) + 1;
    auto at = [&](int draft) {
        const int slot = load(slots + draft), block = slot / a.block_size;
        return cast<T>(region + static_cast<int64_t>(block) * a.block_bytes + first + (slot - block * a.block_size) * bytes);
    };
    // The accepted draft k lies at k or behind it, and those after it further behind: nothing is read that was written.
    NO_UNROLL for (int k = 0; k < count; k += Ahead) {
        T held[Ahead];
        UNROLL for (int i = 0; i < Ahead; ++i)
            if (k + i < count)
                held[i] = load(at(load(a.accepted + sequence.y + k + i)));
        UNROLL for (int i = 0; i < Ahead; ++i)
            if (k + i < count)
                store(at(k + i), held[i]);
    }
}

// Grid: (sequences, regions). A thread keeps to its piece of every token, so the moves follow one another without a barrier.
KERNEL(compact_drafts, Threads, 4, (const CompactArguments a))
{
    dependency_wait();
    const DraftSequence sequence = load(a.sequences + block_x());
    const int count = load(a.results + block_x()).x;
    // Parents come before children: where the last one is in place, all are.
    if (count == 0 || load(a.accepted + sequence.y + count - 1) == count - 1)
        return;
    const global_ptr<uint8_t> region = a.cache + block_y() * a.region_bytes;
    const int pieces = a.row_bytes / 16;
    NO_UNROLL for (int i = thread_index(); i < a.kv_heads * pieces; i += Threads)
        move_piece<uint4>(a, region, sequence, count, i / pieces * a.block_size * a.row_bytes + i % pieces * 16, a.row_bytes);
    if (a.scale_bytes > 0)
        NO_UNROLL for (int head = thread_index(); head < a.kv_heads; head += Threads)
            move_piece<float>(a, region, sequence, count, a.kv_heads * a.block_size * a.row_bytes + head * a.block_size * 4, 4);
}
