using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Kernels.Tests.Cuda;

public sealed class PtxasReportTests
{
    private const string Log = """
        ptxas info    : 0 bytes gmem
        ptxas info    : Compiling entry function 'first' for 'sm_90a'
        ptxas info    : Function properties for first
        ptxas         .     16 bytes stack frame, 24 bytes spill stores, 32 bytes spill loads
        ptxas info    : Used 168 registers, used 3 barriers, 16 bytes smem
        ptxas info    : Compiling entry function 'second' for 'sm_90a'
        ptxas info    : Function properties for second
        ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
        ptxas info    : Used 14 registers
        """;

    [Test]
    public void Registers_spills_and_shared_memory_are_read_per_kernel() =>
        Assert.That(PtxasReport.Read(Log), Is.EqualTo(new[]
        {
            new KernelResources("first", 168, 16, 24, 32, 16),
            new KernelResources("second", 14, 0, 0, 0, 0),
        }));

    [Test]
    public void A_plain_report_is_no_complaint() => Assert.That(PtxasReport.Complaints(Log), Is.Empty);

    [TestCase("ptxas info    : (C7508) Potential Performance Loss: 'setmaxnreg' ignored to maintain minimum register requirements.")]
    [TestCase("ptxas info    : (C7514) Potential Performance Loss: wgmma.mma_async instructions are serialized due to insufficient register resources")]
    [TestCase("kernel.cu(3): warning #177-D: variable \"i\" was declared but never referenced")]
    public void Warnings_and_serialized_tensor_instructions_are(string line) =>
        Assert.That(PtxasReport.Complaints($"{Log}\n{line}"), Is.EqualTo(new[] { line }));
}
