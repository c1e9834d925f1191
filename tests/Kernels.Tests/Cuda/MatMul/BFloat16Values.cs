namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

/// <summary>BF16 by its definition: the upper half of a float, the nearest one and of two the even one.</summary>
internal static class BFloat16Values
{
    public static float ToFloat(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    public static ushort FromFloat(float value)
    {
        ushort down = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
        ushort up = (ushort)(down + 1);
        double below = Math.Abs(value - (double)ToFloat(down)), above = Math.Abs(ToFloat(up) - (double)value);
        return below < above || (below == above && down % 2 == 0) || float.IsNaN(value) || !float.IsFinite(ToFloat(up)) ? down : up;
    }

    public static float Round(float value) => ToFloat(FromFloat(value));
}
