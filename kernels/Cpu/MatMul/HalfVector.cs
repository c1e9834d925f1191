using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaServe.Kernels.Cpu;

/// <summary>IEEE half precision to F32 on plain integer vectors: .NET has no conversion intrinsic.</summary>
internal static unsafe class HalfVector
{
    /// <summary>Eight halves, exactly; infinities and NaNs stay what they are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Widen(ushort* halves)
    {
        Vector256<uint> bits = Vector256.WidenLower(Vector128.Load(halves).ToVector256Unsafe());
        Vector256<uint> magnitude = (bits & Vector256.Create(0x7FFFu)) << 13;

        // The exponent's bias grows from 15 to 127; a multiplication by 2^112 does so for subnormals as well.
        Vector256<uint> widened = (magnitude.AsSingle() * Vector256.Create(5192296858534827628530496329220096f)).AsUInt32();
        Vector256<uint> special = Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(0x7C00u << 13));
        widened |= special & Vector256.Create(0x7F800000u);
        return (widened | (bits & Vector256.Create(0x8000u)) << 16).AsSingle();
    }
}
