using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Every kernel becomes machine code of every architecture, and its registers suffice.</summary>
[Category(Toolchain.Compile)]
public sealed class CompileGateTests
{
    private static IEnumerable<TestCaseData> Units() =>
        from unit in KernelSources.Embedded.Names(".cu")
        from architecture in GpuArchitectures.All
        select new TestCaseData(unit, architecture).SetArgDisplayNames(unit, architecture.Name());

    [TestCaseSource(nameof(Units))]
    public void Kernels_compile_without_warnings_and_spill_nothing(string unit, object architecture)
    {
        CompiledKernels kernels = Toolchain.RequireNvrtc().Compile(KernelSources.Embedded, unit, (GpuArchitecture)architecture);
        IReadOnlyList<KernelResources> all = PtxasReport.Read(kernels.Log);
        Assert.That(all, Is.Not.Empty, "the unit has no kernel");
        Assert.That(all.Where(kernel => kernel.StackBytes + kernel.SpillStoreBytes + kernel.SpillLoadBytes > 0), Is.Empty, "kernels use local memory");
    }
}
