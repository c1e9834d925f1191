using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>CTAs on an SM, against worked examples of what bounds them.</summary>
public sealed class MultiprocessorTests
{
    [TestCase(256, 32, 0, 8, TestName = "Threads_bound_them: 8 of 256 are 2048")]
    [TestCase(32, 16, 0, 32, TestName = "Their_number_does")]
    [TestCase(256, 64, 0, 4, TestName = "Registers_do: 64 of 1024 threads are all 65536")]
    [TestCase(256, 65, 0, 3, TestName = "Registers_do_in_pieces_of_eight_a_thread")]
    [TestCase(128, 168, 0, 3, TestName = "Registers_do: 12 warps of 5376, four by four")]
    [TestCase(256, 64, 75 * 1024, 3, TestName = "Shared_memory_does: three of 76 KB are 228 KB")]
    [TestCase(256, 64, 75 * 1024 + 1, 2, TestName = "Shared_memory_does_in_pieces")]
    [TestCase(256, 64, 227 * 1024, 1, TestName = "All_of_it_is_one_CTAs")]
    [TestCase(256, 64, 227 * 1024 + 1, 0, TestName = "A_CTA_that_asks_for_more_fits_nowhere")]
    public void Ctas_of_a_Hopper_SM(int threads, int registers, int sharedBytes, int expected) =>
        Assert.That(Multiprocessor.Of(GpuArchitecture.Sm90a).Ctas(threads, registers, sharedBytes), Is.EqualTo(expected));

    [Test]
    public void An_Ada_SM_has_room_for_fewer() =>
        Assert.That(Multiprocessor.Of(GpuArchitecture.Sm89).Ctas(256, 32, 0), Is.EqualTo(6), "1536 threads");

    [Test]
    public void A_kernel_that_nothing_launches_has_no_size() =>
        Assert.That(() => LaunchSize.Of("matmul_of_no_format", GpuArchitecture.Sm80), Throws.ArgumentException);
}
