using System.Text;
using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Bench.Cuda;

/// <summary>What each kernel takes of a multiprocessor and which instructions it is made of, for docs/.</summary>
internal static class KernelTable
{
    /// <summary>The page: one row a kernel and architecture.</summary>
    public static string Render(NvrtcCompiler compiler, KernelSources sources)
    {
        StringBuilder page = new($"""
            # CUDA kernels: registers and instructions

            Written by `dotnet run -c Release --project bench -- kernel-table` with {compiler.Identity}; tests hold kernels to these registers. Instructions are
            counted in the machine code, not as executed. "16-byte loads" are those of all loads from global memory; bulk copies
            come on top. Shared memory is what the source declares; more is asked for by each launch.

            | unit | kernel | for | registers | shared bytes | 16-byte loads | bulk copies | tensor instructions |
            |---|---|---|--:|--:|--:|--:|---|

            """);
        foreach (string unit in sources.Names(".cu"))
        {
            foreach (GpuArchitecture architecture in GpuArchitectures.All)
            {
                CompiledKernels compiled = compiler.Compile(sources, unit, architecture);
                Dictionary<string, KernelCode> code = Disassembly.Of(compiled.Image).ToDictionary(kernel => kernel.Kernel);
                foreach (KernelResources kernel in PtxasReport.Read(compiled.Log).OrderBy(kernel => kernel.Kernel, StringComparer.Ordinal))
                {
                    page.Append(Row(unit, architecture, kernel, code[kernel.Kernel])).Append('\n');
                }
            }
        }
        return page.ToString();
    }

    private static string Row(string unit, GpuArchitecture architecture, KernelResources kernel, KernelCode code)
    {
        string tensor = string.Join(", ", code.Tensor.OrderBy(family => family.Key).Select(family => $"{family.Value} {family.Key}"));
        return $"| {unit} | {kernel.Kernel} | {architecture.Name()} | {kernel.Registers} | {kernel.SharedBytes} "
            + $"| {code.WideGlobalLoads} of {code.GlobalLoads} | {code.BulkLoads} | {tensor} |";
    }
}
