using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

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

    /// <summary>An F32 view of <paramref name="rows"/> × <paramref name="columns"/>.</summary>
    public static void Activation(Tensor tensor, int rows, int columns, string name)
    {
        if (tensor.Rows != rows || tensor.Columns != columns || tensor.Type != DType.F32 || tensor.RowStride < columns || (tensor.Address == 0 && rows > 0))
        {
            throw new ArgumentException(
                $"{name} is {tensor.Type} [{tensor.Rows}, {tensor.Columns}] with stride {tensor.RowStride}, expected F32 [{rows}, {columns}]");
        }
    }

    /// <summary>An F32 view of any size.</summary>
    public static void Activation(Tensor tensor, string name)
    {
        That(tensor.Rows >= 0 && tensor.Columns > 0, $"{name} is [{tensor.Rows}, {tensor.Columns}]");
        Activation(tensor, tensor.Rows, tensor.Columns, name);
    }

    /// <summary>A vector of this backend.</summary>
    public static CpuVector Vector(Weight weight, int columns, string name)
    {
        CpuVector vector = weight as CpuVector ?? throw new ArgumentException($"{name} was not loaded by LoadVector of this backend");
        That(vector.Columns == columns, $"{name} has {vector.Columns} elements, expected {columns}");
        return vector;
    }

    public static CpuKvCache Cache(KvCache cache, int layer)
    {
        CpuKvCache own = cache as CpuKvCache ?? throw new ArgumentException("the KV cache was not made by this backend");
        That((uint)layer < (uint)own.Shape.Layers, $"layer {layer} of a KV cache of {own.Shape.Layers} layers");
        return own;
    }

    /// <summary>An attention layer that fits the cache, and fused rows that fit both.</summary>
    public static void Attention(Tensor qkv, ForwardBatch batch, AttentionShape shape, CpuKvCache cache)
    {
        That(
            shape.KvHeads > 0 && shape.Heads > 0 && shape.Heads % shape.KvHeads == 0,
            $"{shape.Heads} query heads cannot share {shape.KvHeads} key/value heads");
        That(shape.SlidingWindow >= 0, $"sliding window {shape.SlidingWindow}");
        That(
            shape.KvHeads == cache.Shape.KvHeads && shape.HeadDim == cache.Shape.HeadDim,
            $"attention of {shape.KvHeads} × {shape.HeadDim} with a KV cache of {cache.Shape.KvHeads} × {cache.Shape.HeadDim}");
        Activation(qkv, batch.TokenCount, shape.QkvColumns, "qkv");
    }

    /// <summary>Stored elements whose size is known and whose rows are whole blocks.</summary>
    public static void Data(WeightData data)
    {
        That(
            data.Rows > 0 && data.Columns > 0 && data.Address != 0 && data.Columns % data.Format.BlockElements() == 0,
            $"{data.Name} is {data.Format} [{data.Rows}, {data.Columns}]: empty, or rows are not whole blocks of {data.Format.BlockElements()}");
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
