using System.Text;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Bench.Cuda;

/// <summary>What each kernel takes of a multiprocessor and which instructions it is made of, for docs/.</summary>
internal static class KernelTable
{
    /// <summary>The page: one row a kernel and architecture.</summary>
    public static string Render(NvrtcCompiler compiler, KernelSources sources)
    {
        StringBuilder page = new($"""
            # CUDA kernels: what they take of an SM, and instructions

            Written by `dotnet run -c Release --project bench -- kernel-table` with {compiler.Identity}; tests hold kernels to registers, shared memory, CTAs
            of an SM, and loads of less than 16 bytes. Shared memory is what a launch asks for, the most of any; "CTAs" is how many an SM
            holds at a time with these threads, registers and bytes (sm_80: an A100, where a CTA may have the 99 KB of compute capability
            8.6). Instructions are counted in the machine code, not as executed. "16-byte loads" are those of all loads from global memory;
            bulk copies come on top.

            Where few loads are wide, others are rare or wide together. The loops of norms, activations and samplers exist twice, by
            16 bytes and by elements: the second, four to eight times as many instructions, is for rows whose width or address does not
            divide by 16 bytes. `rope_and_store_kv` reads angles and gains by pairs. `combine_attention` reads a row by a warp, whose lanes
            take neighbouring words: 128 bytes an access. The samplers' other loads are lists of edits, and keys of the head one by one. In
            products by wgmma weights and quantized activations come by bulk copies, and the loads left are scales, biases and residual rows.

            | unit | kernel | for | threads | registers | shared bytes | CTAs | 16-byte loads | bulk copies | tensor instructions |
            |---|---|---|--:|--:|--:|--:|--:|--:|---|

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
        LaunchSize size = LaunchSize.Of(kernel.Kernel, architecture);
        int shared = kernel.SharedBytes + size.SharedBytes, ctas = Multiprocessor.Of(architecture).Ctas(size.Threads, kernel.Registers, shared);
        return $"| {unit} | {kernel.Kernel} | {architecture.Name()} | {size.Threads} | {kernel.Registers} | {shared} | {ctas} "
            + $"| {code.WideGlobalLoads} of {code.GlobalLoads} | {code.BulkLoads} | {tensor} |";
    }
}
