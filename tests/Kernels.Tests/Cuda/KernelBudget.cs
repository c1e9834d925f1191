using System.Globalization;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Testing;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>What docs/cuda-kernels.md records of a kernel, and no change may exceed unless the page is written anew.</summary>
/// <param name="SharedBytes">Of a CTA.</param>
/// <param name="Ctas">At a time on an SM; at least so many.</param>
/// <param name="NarrowLoads">Loads from global memory of less than 16 bytes.</param>
internal sealed record KernelBudget(int Registers, int SharedBytes, int Ctas, int NarrowLoads)
{
    /// <summary>By kernel. Other compilers than the page's may need more, so with them the test ends as skipped.</summary>
    public static Dictionary<string, KernelBudget> Read(string compiler, GpuArchitecture architecture)
    {
        string[] page = File.ReadAllLines(Path.Combine(RepositoryPaths.Root, "docs", "cuda-kernels.md"));
        if (!page.Any(line => line.Contains($"with {compiler};", StringComparison.Ordinal)))
        {
            Assert.Ignore($"docs/cuda-kernels.md was not written with {compiler}: the kernels' budgets are NOT checked");
        }
        return page.Select(line => line.Split('|', StringSplitOptions.TrimEntries))
            .Where(cells => cells.Length > 8 && cells[3] == architecture.Name())
            .ToDictionary(cells => cells[2], Parse);
    }

    /// <summary>unit | kernel | for | threads | registers | shared bytes | CTAs | "wide of all" | ….</summary>
    private static KernelBudget Parse(string[] cells)
    {
        int[] loads = [.. cells[8].Split(" of ").Select(Number)];
        return new KernelBudget(Number(cells[5]), Number(cells[6]), Number(cells[7]), loads[1] - loads[0]);
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
