using System.Collections.Concurrent;
using System.Globalization;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Testing;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>
/// Every kernel becomes machine code of every architecture; its registers suffice and are those in docs/cuda-kernels.md; it reads
/// 16 bytes at a time and uses the tensor cores where it is meant to; on Hopper it waits for the kernel ahead of it.
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

    private static readonly ConcurrentDictionary<(string, GpuArchitecture), CompiledKernels> Compiled = [];

    private static IEnumerable<TestCaseData> Units() =>
        from unit in KernelSources.Embedded.Names(".cu")
        from architecture in GpuArchitectures.All
        select new TestCaseData(unit, architecture).SetArgDisplayNames(unit, architecture.Name());

    [TestCaseSource(nameof(Units))]
    public void Kernels_fit_into_their_registers(string unit, object target)
    {
        var architecture = (GpuArchitecture)target;
        NvrtcCompiler compiler = Toolchain.RequireNvrtc();
        Dictionary<string, int> budgets = Budgets(compiler.Identity, architecture);
        IReadOnlyList<KernelResources> kernels = PtxasReport.Read(Compile(compiler, unit, architecture).Log);
        Assert.That(kernels, Is.Not.Empty, "the unit has no kernel");
        Assert.Multiple(() =>
        {
            foreach (KernelResources kernel in kernels)
            {
                Assert.That(kernel.StackBytes + kernel.SpillStoreBytes + kernel.SpillLoadBytes, Is.Zero, $"{kernel} uses local memory");
                Assert.That(kernel.Registers, Is.LessThanOrEqualTo(budgets.GetValueOrDefault(kernel.Kernel)), $"{kernel}; 'bench -- kernel-table' records it");
            }
        });
    }

    [TestCaseSource(nameof(Units))]
    public void Kernels_are_made_of_the_intended_instructions(string unit, object target)
    {
        var architecture = (GpuArchitecture)target;
        byte[] image = Compile(Toolchain.RequireNvrtc(), unit, architecture).Image;
        Assert.Multiple(() =>
        {
            foreach (KernelCode code in Toolchain.Disassemble(image))
            {
                Assert.That(code.LocalAccesses, Is.Zero, $"{code.Kernel} accesses local memory");
                if (!NarrowKernels.Contains(code.Kernel))
                {
                    Assert.That(code.WideGlobalLoads + code.BulkLoads, Is.Positive, $"{code.Kernel} has no 16-byte load");
                }
                Assert.That(code.WaitsBeforeItWrites || architecture != GpuArchitecture.Sm90a, $"{code.Kernel} may overlap with the kernel ahead of it");
                Assert.That(code.Tensor.Keys, Is.SupersetOf(TensorFamilies(code.Kernel, architecture)), code.Kernel);
            }
        });
    }

    private static IEnumerable<string> TensorFamilies(string kernel, GpuArchitecture architecture) => TensorKernels
        .Where(expected => expected.Architecture == architecture && kernel.StartsWith(expected.Kernel, StringComparison.Ordinal))
        .Select(expected => expected.Family);

    /// <summary>Compiled once for all tests: that takes seconds.</summary>
    private static CompiledKernels Compile(NvrtcCompiler compiler, string unit, GpuArchitecture architecture) =>
        Compiled.GetOrAdd((unit, architecture), _ => compiler.Compile(KernelSources.Embedded, unit, architecture));

    /// <summary>Registers by kernel, from the table; other compilers than the table's may need others.</summary>
    private static Dictionary<string, int> Budgets(string compiler, GpuArchitecture architecture)
    {
        string[] page = File.ReadAllLines(Path.Combine(RepositoryPaths.Root, "docs", "cuda-kernels.md"));
        if (!page.Any(line => line.Contains($"with {compiler};", StringComparison.Ordinal)))
        {
            Assert.Ignore($"docs/cuda-kernels.md was not written with {compiler}: the kernels' registers are NOT checked");
        }
        return page.Select(line => line.Split('|', StringSplitOptions.TrimEntries))
            .Where(cells => cells.Length > 4 && cells[3] == architecture.Name())
            .ToDictionary(cells => cells[2], cells => int.Parse(cells[4], CultureInfo.InvariantCulture));
    }
}
