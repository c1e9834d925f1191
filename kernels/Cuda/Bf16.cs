using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda;

/// <summary>The upper half of an F32, as tensor cores take it.</summary>
internal static class Bf16
{
    /// <summary>Rounds to nearest, ties to even; infinities stay, NaN stays NaN.</summary>
    public static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)(bits >> 16 | 0x40) : (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    /// <param name="destination">Receives two bytes a value.</param>
    public static void Round(ReadOnlySpan<float> values, Span<byte> destination)
    {
        Span<ushort> rounded = MemoryMarshal.Cast<byte, ushort>(destination);
        for (int i = 0; i < values.Length; i++)
        {
            rounded[i] = Round(values[i]);
        }
    }

    public static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
