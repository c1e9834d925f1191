using System.Collections.Concurrent;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>
/// Every kernel becomes machine code of every architecture; registers, shared memory, CTAs of an SM and narrow loads are within what
/// docs/cuda-kernels.md records; it reads 16 bytes at a time and uses the tensor cores where it is meant to; on Hopper it waits for the
/// kernel ahead of it.
/// </summary>
[Category(Toolchain.Compile)]
public sealed class CompileGateTests
{
    /// <summary>Kernels, by the start of their name, and the tensor-core instructions that they must have on an architecture.</summary>
    private static readonly (string Kernel, GpuArchitecture Architecture, string Family)[] TensorKernels =
    [
        .. from format in new[] { "bf16", "f16", "q", "int" }
           from family in new[] { "matmul", "expert_matmul" }
           from architecture in GpuArchitectures.All
           select ($"{family}_{format}", architecture, "HMMA"),
        ("matmul_s8", GpuArchitecture.Sm80, "IMMA"),
        ("matmul_s8", GpuArchitecture.Sm89, "IMMA"),
        ("matmul_s8", GpuArchitecture.Sm90a, "IGMMA"),
        ("matmul_w16a16", GpuArchitecture.Sm80, "HMMA"),
        ("matmul_w16a16", GpuArchitecture.Sm89, "HMMA"),
        ("matmul_w16a16", GpuArchitecture.Sm90a, "HGMMA"),
        ("matmul_e4m3", GpuArchitecture.Sm89, "QMMA"),
        ("matmul_e4m3", GpuArchitecture.Sm90a, "QGMMA"),
        ("paged_attention", GpuArchitecture.Sm80, "HMMA"),
        ("paged_attention", GpuArchitecture.Sm89, "HMMA"),
        ("paged_attention", GpuArchitecture.Sm90a, "HMMA"),
    ];

    /// <summary>Kernels that have no rows to read.</summary>
    private static readonly string[] NarrowKernels = ["scatter_words", "route", "sort_choices"];

    /// <summary>
    /// Kernels that read weights or a cache, by the start of their name, and the share of 16-byte loads among their instructions. The
    /// others are single words that steer the work and epilogues whose rows do not allow for vectors.
    /// </summary>
    private static readonly string[] HotKernels = ["matmul_", "expert_matmul_", "paged_attention_"];

    private const double LeastWideLoads = 0.45;

    private static readonly ConcurrentDictionary<(string, GpuArchitecture), CompiledKernels> Compiled = [];

    private static readonly ConcurrentDictionary<(string, GpuArchitecture), IReadOnlyList<KernelCode>> Disassembled = [];

    private static IEnumerable<TestCaseData> Units() =>
        from unit in KernelSources.Embedded.Names(".cu")
        from architecture in GpuArchitectures.All
        select new TestCaseData(unit, architecture).SetArgDisplayNames(unit, architecture.Name());

    [TestCaseSource(nameof(Units))]
    public void Kernels_stay_within_their_budgets(string unit, object target)
    {
        var architecture = (GpuArchitecture)target;
        NvrtcCompiler compiler = Toolchain.RequireNvrtc();
        Dictionary<string, KernelBudget> budgets = KernelBudget.Read(compiler.Identity, architecture);
        IReadOnlyList<KernelResources> kernels = PtxasReport.Read(Compile(compiler, unit, architecture).Log);
        Assert.That(kernels, Is.Not.Empty, "the unit has no kernel");
        Assert.Multiple(() =>
        {
            foreach (KernelResources kernel in kernels)
            {
                Assert.That(budgets.TryGetValue(kernel.Kernel, out KernelBudget? budget), $"{kernel} is not recorded: 'bench -- kernel-table'");
                LaunchSize size = LaunchSize.Of(kernel.Kernel, architecture);
                int shared = kernel.SharedBytes + size.SharedBytes;
                int ctas = Multiprocessor.Of(architecture).Ctas(size.Threads, kernel.Registers, shared);
                Assert.That(kernel.StackBytes + kernel.SpillStoreBytes + kernel.SpillLoadBytes, Is.Zero, $"{kernel} uses local memory");
                Assert.That(kernel.Registers, Is.LessThanOrEqualTo(budget?.Registers ?? 0), $"{kernel}; 'bench -- kernel-table' records it");
                Assert.That(shared, Is.LessThanOrEqualTo(budget?.SharedBytes ?? 0), $"shared memory of {kernel}");
                Assert.That(ctas, Is.GreaterThanOrEqualTo(Math.Max(size.Ctas, budget?.Ctas ?? 0)), $"CTAs of an SM of {kernel} with {shared} bytes of shared memory");
            }
        });
    }

    [TestCaseSource(nameof(Units))]
    public void Kernels_are_made_of_the_intended_instructions(string unit, object target)
    {
        var architecture = (GpuArchitecture)target;
        NvrtcCompiler compiler = Toolchain.RequireNvrtc();
        Assert.Multiple(() =>
        {
            foreach (KernelCode code in Disassemble(compiler, unit, architecture))
            {
                Assert.That(code.LocalAccesses, Is.Zero, $"{code.Kernel} accesses local memory");
                if (!NarrowKernels.Contains(code.Kernel))
                {
                    int wide = code.WideGlobalLoads, all = code.GlobalLoads;
                    Assert.That(wide + code.BulkLoads, Is.Positive, $"{code.Kernel} has no 16-byte load");
                    Assert.That(code.BulkLoads > 0 || !IsHot(code.Kernel) || wide >= LeastWideLoads * all, $"{code.Kernel}: {wide} of {all} loads have 16 bytes");
                }
                Assert.That(code.WaitsBeforeItWrites || architecture != GpuArchitecture.Sm90a, $"{code.Kernel} may overlap with the kernel ahead of it");
                Assert.That(code.Tensor.Keys, Is.SupersetOf(TensorFamilies(code.Kernel, architecture)), code.Kernel);
            }
        });
    }

    [TestCaseSource(nameof(Units))]
    public void Kernels_get_no_further_narrow_loads(string unit, object target)
    {
        var architecture = (GpuArchitecture)target;
        NvrtcCompiler compiler = Toolchain.RequireNvrtc();
        Dictionary<string, KernelBudget> budgets = KernelBudget.Read(compiler.Identity, architecture);
        Assert.Multiple(() =>
        {
            foreach (KernelCode code in Disassemble(compiler, unit, architecture))
            {
                int narrow = code.GlobalLoads - code.WideGlobalLoads;
                Assert.That(narrow, Is.LessThanOrEqualTo(budgets.GetValueOrDefault(code.Kernel)?.NarrowLoads ?? 0), $"{code.Kernel}; 'bench -- kernel-table' records it");
            }
        });
    }

    private static bool IsHot(string kernel) => HotKernels.Any(start => kernel.StartsWith(start, StringComparison.Ordinal));

    private static IEnumerable<string> TensorFamilies(string kernel, GpuArchitecture architecture) => TensorKernels
        .Where(expected => expected.Architecture == architecture && kernel.StartsWith(expected.Kernel, StringComparison.Ordinal))
        .Select(expected => expected.Family);

    private static IReadOnlyList<KernelCode> Disassemble(NvrtcCompiler compiler, string unit, GpuArchitecture architecture) =>
        Disassembled.GetOrAdd((unit, architecture), _ => Toolchain.Disassemble(Compile(compiler, unit, architecture).Image));

    /// <summary>Compiled once for all tests: that takes seconds.</summary>
    private static CompiledKernels Compile(NvrtcCompiler compiler, string unit, GpuArchitecture architecture) =>
        Compiled.GetOrAdd((unit, architecture), _ => compiler.Compile(KernelSources.Embedded, unit, architecture));
}
