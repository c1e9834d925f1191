using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels;

/// <summary>The checks on entry of an operation; each throws <see cref="ArgumentException"/> that names what is wrong.</summary>
internal static class Check
{
    /// <param name="message">Only built when the condition does not hold.</param>
    public static void That(bool condition, [InterpolatedStringHandlerArgument(nameof(condition))] ref Message message)
    {
        if (!condition)
        {
            throw new ArgumentException(message.ToStringAndClear());
        }
    }

    /// <summary>A view of <paramref name="rows"/> × <paramref name="columns"/> elements of a type.</summary>
    public static void Activation(Tensor tensor, int rows, int columns, string name, DType type = DType.F32)
    {
        if (tensor.Rows != rows || tensor.Columns != columns || tensor.Type != type || tensor.RowStride < columns || (tensor.Address == 0 && rows > 0))
        {
            throw new ArgumentException(
                $"{name} is {tensor.Type} [{tensor.Rows}, {tensor.Columns}] with stride {tensor.RowStride}, expected {type} [{rows}, {columns}]");
        }
    }

    /// <summary>A view of any size.</summary>
    public static void Activation(Tensor tensor, string name, DType type = DType.F32)
    {
        That(tensor.Rows >= 0 && tensor.Columns > 0, $"{name} is [{tensor.Rows}, {tensor.Columns}]");
        Activation(tensor, tensor.Rows, tensor.Columns, name, type);
    }

    /// <summary>An attention layer that fits the cache, and fused rows that fit both.</summary>
    public static void Attention(Tensor qkv, ForwardBatch batch, AttentionShape shape, KvCache cache, DType type = DType.F32)
    {
        That(
            shape.KvHeads > 0 && shape.Heads > 0 && shape.Heads % shape.KvHeads == 0,
            $"{shape.Heads} query heads cannot share {shape.KvHeads} key/value heads");
        That(shape.SlidingWindow >= 0, $"sliding window {shape.SlidingWindow}");
        That(
            shape.KvHeads == cache.Shape.KvHeads && shape.HeadDim == cache.Shape.HeadDim,
            $"attention of {shape.KvHeads} × {shape.HeadDim} with a KV cache of {cache.Shape.KvHeads} × {cache.Shape.HeadDim}");
        Activation(qkv, batch.TokenCount, shape.QkvColumns, "qkv", type);
        if (batch.HasTrees && shape.SlidingWindow > 0)
        {
            foreach (ulong ancestors in batch.Ancestors)
            {
                int depth = BitOperations.PopCount(ancestors);
                That(depth <= shape.SlidingWindow, $"a tree of drafts {depth} tokens deep with a sliding window of {shape.SlidingWindow}");
            }
        }
    }

    /// <summary>Drafts whose rows of logits are there.</summary>
    public static void Drafts(DraftBatch drafts, int rows)
    {
        foreach (DraftSequence sequence in drafts.Sequences)
        {
            That(
                sequence.FirstRow >= 0 && sequence.FirstRow < rows - sequence.Count,
                $"{sequence.Count} drafts behind row {sequence.FirstRow} of {rows} rows of logits");
        }
    }

    /// <summary>For each token of a tree of drafts itself and the tokens above it.</summary>
    public static void Tree(ReadOnlySpan<ulong> ancestors, int tokens)
    {
        That(
            ancestors.Length <= Math.Min(tokens, ForwardBatch.MaxTreeTokens),
            $"a tree of {ancestors.Length} of {tokens} tokens, of which there may be {ForwardBatch.MaxTreeTokens}");
        for (int i = 0; i < ancestors.Length; i++)
        {
            ulong above = ancestors[i] & ~(1UL << i);
            int parent = BitOperations.Log2(above);
            bool isBelow = above == 0 || (parent < i && above == ancestors[parent]);
            That(isBelow && above != ancestors[i], $"token {i} of a tree of drafts has the ancestors {ancestors[i]}");
        }
    }

    /// <summary>A layer of a cache.</summary>
    public static void Layer(KvCache cache, int layer) =>
        That((uint)layer < (uint)cache.Shape.Layers, $"layer {layer} of a KV cache of {cache.Shape.Layers} layers");

    /// <summary>A shape that a cache can have.</summary>
    public static void Shape(KvCacheShape shape) => That(
        shape.Layers > 0 && shape.Blocks > 0 && shape.BlockSize > 0 && shape.KvHeads > 0 && shape.HeadDim > 0 && shape.HeadDim % 2 == 0
            && shape.HostBlocks >= 0,
        $"no KV cache can have the shape {shape}");

    /// <summary>Memory of the host for a cache's host part.</summary>
    public static void HostMemory(KvCacheShape shape, long freeBytes) => That(
        shape.HostBlocks == 0 || shape.HostByteLength <= freeBytes,
        $"{shape.HostBlocks} host blocks of the KV cache take {shape.HostByteLength >> 20} MiB, the host has {freeBytes >> 20} MiB free: lower --kv-host-gb");

    /// <summary>Blocks that the cache and its host part have.</summary>
    public static void Swaps(KvCache cache, ReadOnlySpan<BlockSwap> swaps)
    {
        That(swaps.IsEmpty || cache.Shape.HostBlocks > 0, $"{swaps.Length} blocks to swap with a KV cache that has no host blocks");
        foreach (BlockSwap swap in swaps)
        {
            Range([swap.Block], cache.Shape.Blocks, "block");
            Range([swap.HostBlock], cache.Shape.HostBlocks, "host block");
        }
    }

    /// <summary>Block tables that hold what the sequences' new tokens see.</summary>
    public static void BlockTables(ForwardBatch batch, AttentionShape shape, KvCache cache)
    {
        int blockSize = cache.Shape.BlockSize;
        for (int sequence = 0; sequence < batch.SequenceCount; sequence++)
        {
            int context = batch.ContextLengths[sequence];
            int queries = batch.QueryStart[sequence + 1] - batch.QueryStart[sequence];
            int first = shape.FirstVisible(context - queries) / blockSize, end = (context + blockSize - 1) / blockSize;
            That(end <= batch.MaxBlocksPerSequence, $"context {context} needs {end} blocks of {blockSize}, a table has {batch.MaxBlocksPerSequence}");
            Range(batch.BlockTable(sequence)[first..end], cache.Shape.Blocks, "block");
        }
    }

    /// <summary>Parts of a matrix, to be stacked by rows.</summary>
    public static void Matrix(ReadOnlySpan<WeightData> parts)
    {
        That(parts.Length > 0, $"a matrix needs at least one part, not {parts.Length}");
        foreach (WeightData part in parts)
        {
            Data(part);
            That(part.Columns == parts[0].Columns, $"{part.Name} has {part.Columns} columns, {parts[0].Name} has {parts[0].Columns}");
        }
    }

    /// <summary>Parts of two matrices of one shape.</summary>
    public static void Gated(ReadOnlySpan<WeightData> gateParts, ReadOnlySpan<WeightData> upParts)
    {
        Matrix(gateParts);
        Matrix(upParts);
        (int gates, int ups) = (WeightRow.Count(gateParts), WeightRow.Count(upParts));
        That(
            gates == ups && gateParts[0].Columns == upParts[0].Columns,
            $"gate {gateParts[0].Name} is [{gates}, {gateParts[0].Columns}], up {upParts[0].Name} is [{ups}, {upParts[0].Columns}]");
    }

    /// <summary>Parts of the matrices of experts, expert by expert: equal shapes, and the same formats part by part.</summary>
    public static void Experts(ReadOnlySpan<WeightData> parts, int experts)
    {
        That(
            experts is > 0 and <= ExpertRouting.MaxExperts && parts.Length > 0 && parts.Length % experts == 0,
            $"{parts.Length} parts for {experts} experts, of which there may be {ExpertRouting.MaxExperts}");
        Matrix(parts);
        int each = parts.Length / experts;
        for (int i = each; i < parts.Length; i++)
        {
            WeightData part = parts[i], first = parts[i % each];
            That(
                part.Format == first.Format && part.Rows == first.Rows && part.GroupSize == first.GroupSize && (part.ZeroPoints == 0) == (first.ZeroPoints == 0),
                $"{part.Name} is {part.Format} [{part.Rows}, {part.Columns}] in groups of {part.GroupSize}, {first.Name} is {first.Format} [{first.Rows}, {first.Columns}] in groups of {first.GroupSize}");
        }
    }

    /// <summary>A choice among as many experts as the router has rows.</summary>
    public static void Routing(Weight router, int expertsPerToken)
    {
        That(router.Rows <= ExpertRouting.MaxExperts, $"a router to {router.Rows} experts, of which there may be {ExpertRouting.MaxExperts}");
        That(
            expertsPerToken > 0 && expertsPerToken <= Math.Min(router.Rows, ExpertRouting.MaxExpertsPerToken),
            $"{expertsPerToken} of {router.Rows} experts for each token, of which there may be {ExpertRouting.MaxExpertsPerToken}");
    }

    /// <summary>Parts of a vector, one after the other.</summary>
    public static void Vector(ReadOnlySpan<WeightData> parts)
    {
        That(parts.Length > 0, $"a vector needs at least one part, not {parts.Length}");
        foreach (WeightData part in parts)
        {
            Data(part);
            That(part.Rows == 1, $"{part.Name} has {part.Rows} rows, a vector has one");
            That(!part.Format.HasSeparateScales(), $"{part.Name} is {part.Format}; a vector has no scales beside it");
        }
    }

    /// <summary>A token table.</summary>
    public static void Table(WeightData table)
    {
        Data(table);
        That(!table.Format.HasSeparateScales(), $"{table.Name} is {table.Format}; a token table has no scales beside it");
    }

    /// <summary>Stored elements whose size is known, whose rows are whole blocks and whose scales are there.</summary>
    public static void Data(WeightData data)
    {
        That(
            data.Rows > 0 && data.Columns > 0 && data.Address != 0 && data.Columns % data.Format.BlockElements() == 0,
            $"{data.Name} is {data.Format} [{data.Rows}, {data.Columns}]: empty, or rows are not whole blocks of {data.Format.BlockElements()}");
        bool hasZeroPoints = data.Format is WeightFormat.Int4 or WeightFormat.Int8;
        That(
            data.Format.HasSeparateScales() == (data.Scales != 0) && (hasZeroPoints || data.ZeroPoints == 0),
            $"{data.Name} is {data.Format}: {(data.Format.HasSeparateScales() ? "" : "no ")}scales{(hasZeroPoints ? "" : " and no zero points")} belong beside it");
        That(
            data.GroupSize == 0 || (hasZeroPoints && data.GroupSize > 0 && data.GroupSize % 32 == 0 && data.Columns % data.GroupSize == 0),
            $"{data.Name} is {data.Format} with {data.Columns} columns: groups of {data.GroupSize} are not multiples of 32 that divide a row");
    }

    /// <summary>Values in [0, <paramref name="bound"/>).</summary>
    public static void Range(ReadOnlySpan<int> values, int bound, string name)
    {
        foreach (int value in values)
        {
            if ((uint)value >= (uint)bound)
            {
                throw new ArgumentException($"{name} {value} is not in [0, {bound})");
            }
        }
    }

    /// <summary>Text of a failed check; costs nothing while the condition holds.</summary>
    [InterpolatedStringHandler]
    public ref struct Message
    {
        private DefaultInterpolatedStringHandler _text;

        public Message(int literalLength, int formattedCount, bool condition, out bool isWanted)
        {
            isWanted = !condition;
            _text = isWanted ? new DefaultInterpolatedStringHandler(literalLength, formattedCount) : default;
        }

        public void AppendLiteral(string value) => _text.AppendLiteral(value);

        public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

        public string ToStringAndClear() => _text.ToStringAndClear();
    }
}
