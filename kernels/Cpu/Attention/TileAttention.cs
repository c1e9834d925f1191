using System.Runtime.Intrinsics.X86;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Attention of one tile to one key/value head, in one lane's scratch memory.</summary>
internal readonly unsafe struct TileAttention<TElement>
    where TElement : struct, IKvElement
{
    private readonly AttentionInputs _inputs;
    private readonly AttentionTile _tile;
    private readonly int _head;
    private readonly int _rows;
    private readonly float* _queries;
    private readonly float* _scores;
    private readonly float* _rescale;
    private readonly byte** _keys;
    private readonly byte** _values;

    /// <param name="scratch">As many bytes as <see cref="ScratchBytes"/> says.</param>
    public TileAttention(in AttentionInputs inputs, in AttentionTile tile, int head, byte* scratch)
    {
        (_inputs, _tile, _head) = (inputs, tile, head);
        _rows = AttentionPlan.PadRows(tile.Queries * inputs.Group);
        _queries = (float*)scratch;
        _scores = _queries + (long)_rows * inputs.Shape.HeadDim;
        _rescale = _scores + (long)_rows * inputs.ScoreStride;
        _keys = (byte**)AlignedBuffer.RoundUp((long)(_rescale + _rows));
        _values = _keys + inputs.BlocksPerStep;
        LoadQueries();
    }

    public static long ScratchBytes(in AttentionInputs inputs, int rows) => AlignedBuffer.RoundUp(
        (long)rows * (inputs.Shape.HeadDim + inputs.ScoreStride + 1) * sizeof(float)
        + 2L * inputs.BlocksPerStep * sizeof(byte*) + AlignedBuffer.Alignment);

    /// <summary>What the tile's rows see in one partition, into <paramref name="states"/>.</summary>
    public void Partition(int partition, RowStates states)
    {
        states.Clear();
        int begin = Math.Max(partition * _inputs.PartitionTokens, _inputs.FirstVisible(_tile.Sequence, _tile.FirstPosition));
        int end = Math.Min((partition + 1) * _inputs.PartitionTokens, _tile.LastPosition + 1);
        int firstBlock = begin / _inputs.Cache.Shape.BlockSize;
        for (int block = firstBlock; block < firstBlock + _inputs.BlocksPerStep; block++)
        {
            Prefetch(block);
        }
        for (int step = begin / _inputs.StepTokens; step * _inputs.StepTokens < end; step++)
        {
            int firstToken = step * _inputs.StepTokens;
            Step(firstToken, Math.Max(begin, firstToken), Math.Min(end, firstToken + _inputs.StepTokens), states);
        }
    }

    /// <summary>Divides the rows' values by their sums into the output.</summary>
    public void WriteOutput(RowStates states)
    {
        AttentionShape shape = _inputs.Shape;
        for (int row = 0; row < _tile.Queries * _inputs.Group; row++)
        {
            (int query, int head) = Math.DivRem(row, _inputs.Group);
            float* y = (float*)_inputs.Output.Address + (long)(_tile.FirstToken + query) * _inputs.Output.RowStride
                + (_head * _inputs.Group + head) * shape.HeadDim;
            float* values = states.Values + (long)row * _inputs.Cache.HeadStride;
            float scale = 1 / states.Sum[row];
            for (int d = 0; d < shape.HeadDim; d++)
            {
                y[d] = values[d] * scale;
            }
        }
    }

    /// <summary>Rows of q · scale, one after the other; rows that only pad are zero.</summary>
    private void LoadQueries()
    {
        AttentionShape shape = _inputs.Shape;
        int used = _tile.Queries * _inputs.Group;
        for (int row = 0; row < used; row++)
        {
            (int query, int head) = Math.DivRem(row, _inputs.Group);
            float* q = (float*)_inputs.Qkv.Address + (long)(_tile.FirstToken + query) * _inputs.Qkv.RowStride
                + (_head * _inputs.Group + head) * shape.HeadDim;
            float* copy = _queries + (long)row * shape.HeadDim;
            for (int d = 0; d < shape.HeadDim; d++)
            {
                copy[d] = q[d] * shape.Scale;
            }
        }
        new Span<float>(_queries + (long)used * shape.HeadDim, (_rows - used) * shape.HeadDim).Clear();
    }

    /// <summary>Attends to the positions [from, to), which some row of the tile sees, of the step that begins at <paramref name="firstToken"/>.</summary>
    private void Step(int firstToken, int from, int to, RowStates states)
    {
        CpuKvCache cache = _inputs.Cache;
        int blockSize = cache.Shape.BlockSize;
        ReadOnlySpan<int> table = _inputs.Batch.BlockTable(_tile.Sequence)[(firstToken / blockSize)..];
        ValueBlocks blocks = new()
        {
            Panels = _values,
            First = (from - firstToken) / blockSize,
            Last = (to - 1 - firstToken) / blockSize,
            FirstOffset = from % blockSize,
            LastOffset = (to - 1) % blockSize,
            BlockSize = blockSize,
            TokenStride = cache.TokenStride,
            HeadStride = cache.HeadStride,
        };
        for (int block = blocks.First; block <= blocks.Last; block++)
        {
            Prefetch(firstToken / blockSize + block + _inputs.BlocksPerStep);
            _keys[block] = cache.Head(_inputs.Layer, table[block], _head);
            _values[block] = _keys[block] + cache.KeyPanelBytes;
            float* scores = _scores + (long)block * cache.TokenStride;
            AttentionKernel<TElement>.Scores(_queries, _rows, _inputs.Shape.HeadDim, _keys[block], cache.TokenStride, scores, _inputs.ScoreStride);
        }
        Softmax(firstToken, blocks.First, blocks.Last, states);
        AttentionKernel<TElement>.Values(_scores, _inputs.ScoreStride, _rescale, blocks, states.Values, _rows);
    }

    /// <summary>Brings a block of the sequence closer, if it has so many: blocks lie scattered, so the hardware does not foresee them.</summary>
    private void Prefetch(int block)
    {
        CpuKvCache cache = _inputs.Cache;
        if (Sse.IsSupported && block <= _tile.LastPosition / cache.Shape.BlockSize)
        {
            byte* head = cache.Head(_inputs.Layer, _inputs.Batch.BlockTable(_tile.Sequence)[block], _head);
            for (byte* line = head; line < head + cache.HeadBytes; line += AlignedBuffer.Alignment)
            {
                Sse.Prefetch1(line);
            }
        }
    }

    private void Softmax(int firstToken, int firstBlock, int lastBlock, RowStates states)
    {
        CpuKvCache cache = _inputs.Cache;
        for (int row = 0; row < _rows; row++)
        {
            int query = Math.Min(row / _inputs.Group, _tile.Queries - 1);
            float* scores = _scores + (long)row * _inputs.ScoreStride;
            if (_inputs.Batch.TreeTokens[_tile.Sequence] > 0)
            {
                MaskTree(scores, query, firstToken, firstBlock, lastBlock);
            }
            int from = _inputs.Shape.FirstVisible(_inputs.Batch.Positions[_tile.FirstToken + query]);
            _rescale[row] = SoftmaxStep.Row(
                scores, firstBlock, lastBlock, cache.Shape.BlockSize, cache.TokenStride,
                from - firstToken, _tile.FirstPosition + query + 1 - firstToken, ref states.Max[row], ref states.Sum[row]);
        }
    }

    /// <summary>Takes from a query's scores those of its sequence's tree that are not above it.</summary>
    private void MaskTree(float* scores, int query, int firstToken, int firstBlock, int lastBlock)
    {
        CpuKvCache cache = _inputs.Cache;
        int blockSize = cache.Shape.BlockSize, start = _inputs.Batch.TreeStart(_tile.Sequence) - firstToken;
        ulong ancestors = _inputs.Batch.Ancestors[_tile.FirstToken + query];
        int end = Math.Min(_tile.FirstPosition + query + 1 - firstToken, (lastBlock + 1) * blockSize);
        for (int token = Math.Max(start, firstBlock * blockSize); token < end; token++)
        {
            if ((ancestors >> (token - start) & 1) == 0)
            {
                scores[(long)(token / blockSize) * cache.TokenStride + token % blockSize] = float.NegativeInfinity;
            }
        }
    }
}
