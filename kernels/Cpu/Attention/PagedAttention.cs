namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Causal attention through block tables, for prefill, decode and mixed batches alike.
/// <para>A row's arithmetic is fixed by its sequence alone: scores in steps of whole blocks (64 tokens or one block), a running
/// softmax over the 8 steps of a partition, partitions merged in order. Steps and partitions begin at multiples of their
/// length in the sequence. Tiles, threads and batch-mates only decide where that is computed.</para>
/// </summary>
internal sealed unsafe class PagedAttention : IDisposable
{
    private readonly AttentionPlan _plan = new();
    private readonly AlignedBuffer _counter = new(AlignedBuffer.Alignment);
    private AlignedBuffer _scratch = new(0);
    private AlignedBuffer _partials = new(0);

    public void Run(WorkerPool pool, in AttentionInputs inputs)
    {
        if (inputs.Cache.Shape.Type == DType.F32)
        {
            Run<KvF32>(pool, inputs);
        }
        else
        {
            Run<KvBF16>(pool, inputs);
        }
    }

    public void Dispose()
    {
        _counter.Dispose();
        _scratch.Dispose();
        _partials.Dispose();
    }

    private void Run<TElement>(WorkerPool pool, in AttentionInputs inputs)
        where TElement : struct, IKvElement
    {
        _plan.Build(inputs, pool.ThreadCount);
        Layout layout = new(inputs, _plan.MaxRows);
        Grow(ref _scratch, layout.LaneBytes * pool.ThreadCount);
        if (_plan.IsSplit)
        {
            Grow(ref _partials, layout.StateBytes * _plan.Pieces.Length * inputs.Shape.KvHeads);
            RunUnits<TElement>(pool, inputs, layout, Phase.Partition, _plan.Pieces.Length);
            RunUnits<TElement>(pool, inputs, layout, Phase.Merge, _plan.Tiles.Length);
        }
        else
        {
            RunUnits<TElement>(pool, inputs, layout, Phase.Whole, _plan.Tiles.Length);
        }
    }

    private void RunUnits<TElement>(WorkerPool pool, in AttentionInputs inputs, Layout layout, Phase phase, int items)
        where TElement : struct, IKvElement
    {
        int units = items * inputs.Shape.KvHeads;
        *(int*)_counter.Bytes = 0;
        pool.Run(new Job<TElement>(this, inputs, layout, phase, units), Math.Min(units, pool.ThreadCount));
    }

    private static void Grow(ref AlignedBuffer buffer, long bytes)
    {
        if (buffer.ByteLength < bytes)
        {
            buffer.Dispose();
            buffer = new AlignedBuffer(bytes);
        }
    }

    private enum Phase
    {
        /// <summary>A tile's partitions one after the other, merged as they come.</summary>
        Whole,

        /// <summary>One partition of a tile, kept for later.</summary>
        Partition,

        /// <summary>The kept partitions of a tile, merged in order.</summary>
        Merge,
    }

    /// <summary>A lane's memory: a tile's scratch, the running states, the states of one partition.</summary>
    private readonly struct Layout(in AttentionInputs inputs, int rows)
    {
        public readonly long TileBytes = TileAttention<KvF32>.ScratchBytes(inputs, rows);
        public readonly long StateBytes = RowStates.ByteLength(rows, inputs.Cache.HeadStride);

        public long LaneBytes => TileBytes + 2 * StateBytes;
    }

    /// <summary>A chunk is a lane, with scratch memory of its own, that takes the next unit until none is left.</summary>
    private readonly struct Job<TElement>(PagedAttention owner, AttentionInputs inputs, Layout layout, Phase phase, int units) : IChunkedJob
        where TElement : struct, IKvElement
    {
        public void Execute(int chunk)
        {
            byte* scratch = owner._scratch.Bytes + chunk * layout.LaneBytes;
            ReadOnlySpan<AttentionTile> tiles = phase == Phase.Partition ? owner._plan.Pieces : owner._plan.Tiles;
            int unit;
            while ((unit = Interlocked.Increment(ref *(int*)owner._counter.Bytes) - 1) < units)
            {
                (int item, int head) = Math.DivRem(unit, inputs.Shape.KvHeads);
                Attend(tiles[item], head, scratch);
            }
        }

        private void Attend(in AttentionTile tile, int head, byte* scratch)
        {
            TileAttention<TElement> attention = new(inputs, tile, head, scratch);
            if (phase == Phase.Partition)
            {
                attention.Partition(tile.FirstPartition, Partial(tile, head, 0));
                return;
            }
            RowStates total = States(tile, scratch + layout.TileBytes);
            RowStates part = States(tile, scratch + layout.TileBytes + layout.StateBytes);
            total.Clear();
            for (int i = 0; i < tile.PartitionCount; i++)
            {
                if (phase == Phase.Whole)
                {
                    attention.Partition(tile.FirstPartition + i, part);
                }
                total.Merge(phase == Phase.Whole ? part : Partial(tile, head, i));
            }
            attention.WriteOutput(total);
        }

        private RowStates Partial(in AttentionTile tile, int head, int partition)
        {
            long index = (long)(tile.PartialIndex + partition) * inputs.Shape.KvHeads + head;
            return States(tile, owner._partials.Bytes + index * layout.StateBytes);
        }

        private RowStates States(in AttentionTile tile, byte* memory) =>
            new((float*)memory, AttentionPlan.PadRows(tile.Queries * inputs.Group), inputs.Cache.HeadStride);
    }
}
