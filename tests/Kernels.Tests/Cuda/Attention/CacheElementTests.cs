using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda.Attention;

/// <summary>Every byte of an 8-bit cache becomes the F16 that it stands for, by instruction or by integer arithmetic.</summary>
[Category(Toolchain.Emulated)]
public sealed class CacheElementTests
{
    [Test]
    public void Every_byte_is_widened_exactly(
        [Values(DType.Fp8, DType.Int8)] DType type, [Values(GpuArchitecture.Sm80, GpuArchitecture.Sm89, GpuArchitecture.Sm90a)] object architecture)
    {
        using EmulatedUnit unit = new("cache_elements.cu", (GpuArchitecture)architecture);
        byte[] bytes = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];
        // e4m3's two NaNs are never stored.
        (bytes[127], bytes[255]) = type == DType.Fp8 ? ((byte)126, (byte)254) : (bytes[127], bytes[255]);
        using CudaDeviceVariable<byte> input = unit.Upload<byte>(bytes);
        using CudaDeviceVariable<Half> output = unit.Allocate<Half>(64 * 8);
        using CudaDeviceVariable<float> properties = unit.Allocate<float>(2);
        unit.Run(type == DType.Fp8 ? "widen_fp8" : "widen_int8", new LaunchShape(1, 64), input.Pointer, output.Pointer, properties.Pointer);
        float[] unitAndOrder = properties.Download();
        int[] keyOrder = unitAndOrder[1] != 0 ? [0, 1, 2, 3] : [0, 2, 1, 3];
        Half[] halves = output.Download();
        double[] values = CacheRounding.Dequantize(type, bytes, 1);
        Assert.Multiple(() =>
        {
            for (int i = 0; i < halves.Length; i++)
            {
                int element = i / 8 * 4 + (i % 8 < 4 ? ((int[])[0, 2, 1, 3])[i % 4] : keyOrder[i % 4]);
                Assert.That((double)halves[i] / unitAndOrder[0], Is.EqualTo(values[element]), $"byte {bytes[element]}, place {i % 8}");
            }
        });
    }
}
