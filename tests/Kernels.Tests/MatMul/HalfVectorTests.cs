using System.Runtime.Intrinsics;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests.MatMul;

public sealed unsafe class HalfVectorTests
{
    [Test]
    public void All_halves_widen_exactly()
    {
        ushort[] halves = [.. Enumerable.Range(0, 65536).Select(bits => (ushort)bits)];
        float[] widened = new float[65536];
        fixed (ushort* source = halves)
        fixed (float* target = widened)
        {
            for (int i = 0; i < halves.Length; i += 8)
            {
                HalfVector.Widen(source + i).Store(target + i);
            }
        }

        Assert.That(widened, Is.EqualTo(Array.ConvertAll(halves, bits => (float)BitConverter.UInt16BitsToHalf(bits))));
    }
}
