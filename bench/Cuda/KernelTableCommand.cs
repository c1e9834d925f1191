using System.CommandLine;
using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Bench.Cuda;

/// <summary><c>kernel-table</c>: writes registers and instructions of every CUDA kernel to docs/.</summary>
internal static class KernelTableCommand
{
    public static Command Create()
    {
        Option<FileInfo> output = new("--output")
        {
            Description = "File to write.",
            DefaultValueFactory = _ => new FileInfo(Path.Combine(Repository.Root, "docs", "cuda-kernels.md")),
        };
        Command command = new("kernel-table", "Write registers and instructions of every CUDA kernel to docs/.") { output };
        command.SetAction(parsed =>
        {
            string path = parsed.GetRequiredValue(output).FullName;
            File.WriteAllText(path, KernelTable.Render(new NvrtcCompiler(NvrtcApi.Load()), KernelSources.Embedded));
            Console.WriteLine(path);
        });
        return command;
    }
}
