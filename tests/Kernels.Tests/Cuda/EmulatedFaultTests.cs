using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Faults that would end a GPU's context for the whole process, and what only the emulated driver explains.</summary>
[Category(Toolchain.Emulated)]
public sealed class EmulatedFaultTests
{
    private TestDevice _device = null!;

    [SetUp]
    public void RequireDevice() => _device = TestDevice.Require(TestDevice.Emulated);

    [Test]
    public void A_write_out_of_bounds_is_explained_and_every_later_call_fails()
    {
        CudaStream stream = new(_device.Context);
        CudaDeviceVariable<uint> memory = new(_device.Context, 4);
        CudaKernel kernel = _device.Kernels.GetKernel("store_at");
        kernel.Launch(stream, new LaunchShape(1, 32), memory.Pointer, 3L);
        try
        {
            CudaException exception = Assert.Throws<CudaException>(() =>
            {
                kernel.Launch(stream, new LaunchShape(1, 32), memory.Pointer, 4L);
                stream.Synchronize();
            })!;
            Assert.That(exception.IsLost);
            Assert.That(exception.Message, Does.Contain("CUDA_ERROR_ILLEGAL_ADDRESS").And.Contain("store_at"));
            exception = Assert.Throws<CudaException>(() => new CudaDeviceVariable<uint>(_device.Context, 4))!;
            Assert.That(exception.IsLost);
            Assert.That(exception.EntryPoint, Is.EqualTo("cuMemAlloc"));
            Assert.That(() => _device.Context.Synchronize(), Throws.TypeOf<CudaException>());
            Assert.That(memory.Dispose, Throws.Nothing);
        }
        finally
        {
            Reset();
        }
        stream.Synchronize();
        stream.Dispose();
    }

    [Test]
    public void A_backend_on_a_lost_device_is_disposed_of_without_another_fault()
    {
        TinyCudaDecoder decoder = new(new CudaBackendOptions { Emulated = true, PoolBytes = 32 << 20 });
        decoder.Batch.Add([1, 2, 3], 0, [0], TinyCudaDecoder.BlockSize, 2);
        decoder.Run();
        // Weights and cache are gone from under the kernels.
        decoder.Backend.Runtime.Memory.Dispose();
        try
        {
            CudaException exception = Assert.Throws<CudaException>(() => decoder.Run())!;
            Assert.That(exception.IsLost);
            Assert.That(exception.Message, Does.Contain("CUDA_ERROR_ILLEGAL_ADDRESS"));
            Assert.That(decoder.Dispose, Throws.Nothing);
            Assert.That(decoder.Dispose, Throws.Nothing, "once more");
        }
        finally
        {
            Reset();
        }
    }

    [Test]
    public void A_cluster_reaches_the_driver_as_a_launch_attribute()
    {
        using CudaStream stream = new(_device.Context);
        using CudaDeviceVariable<uint> counter = new(_device.Context, 1);
        Assert.That(
            () => _device.Kernels.GetKernel("increment").Launch(stream, new LaunchShape(2, 32, Cluster: 2, Programmatic: true), counter.Pointer),
            Throws.TypeOf<CudaException>().With.Message.Contains("launch attribute 4 "));
    }

    /// <summary>Makes the emulated device as good as new; its memory is gone.</summary>
    private static unsafe void Reset()
    {
        string path = new HostCompiler(CacheFolder.Of("emulated")).BuildDriver(KernelSources.Embedded);
        ((delegate* unmanaged<void>)NativeLibrary.GetExport(NativeLibrary.Load(path), "llamaserve_emulated_reset"))();
    }
}
