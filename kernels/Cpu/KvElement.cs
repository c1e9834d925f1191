using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>How keys and values are stored; a type parameter of the attention kernels.</summary>
internal unsafe interface IKvElement
{
    /// <summary>Bytes of one element.</summary>
    static abstract int Size { get; }

    /// <summary>Reads two vectors' worth of elements.</summary>
    static abstract void Load(byte* from, out Vector<float> first, out Vector<float> second);

    static abstract void Store(byte* panel, long index, float value);
}

internal readonly unsafe struct KvF32 : IKvElement
{
    public static int Size => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* from, out Vector<float> first, out Vector<float> second)
    {
        first = Vector.Load((float*)from);
        second = Vector.Load((float*)from + Vector<float>.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* panel, long index, float value) => ((float*)panel)[index] = value;
}

internal readonly unsafe struct KvBF16 : IKvElement
{
    public static int Size => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* from, out Vector<float> first, out Vector<float> second)
    {
        Vector<ushort> packed = Vector.Load((ushort*)from);
        first = Vector.AsVectorSingle(Vector.WidenLower(packed) << 16);
        second = Vector.AsVectorSingle(Vector.WidenUpper(packed) << 16);
    }

    /// <summary>Rounds to nearest, ties to even; a NaN stays one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* panel, long index, float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint rounded = bits + 0x7FFF + ((bits >> 16) & 1);
        ((ushort*)panel)[index] = (ushort)((float.IsNaN(value) ? bits | 0x400000 : rounded) >> 16);
    }
}
