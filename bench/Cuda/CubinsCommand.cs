using System.CommandLine;
using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Bench.Cuda;

/// <summary><c>cubins</c>: compiles every CUDA kernel ahead of time, for machines without NVRTC.</summary>
internal static class CubinsCommand
{
    public static Command Create()
    {
        Option<DirectoryInfo> output = new("--output")
        {
            Description = "Folder for the images.",
            DefaultValueFactory = _ => new DirectoryInfo(Path.Combine(Repository.Root, "artifacts", "cubins")),
        };
        Command command = new("cubins", "Compile every CUDA kernel for every architecture, with NVRTC.") { output };
        command.SetAction(parsed => Compile(parsed.GetRequiredValue(output).FullName));
        return command;
    }

    private static void Compile(string folder)
    {
        NvrtcCompiler compiler = new(NvrtcApi.Load());
        AheadOfTimeImages images = new(folder);
        KernelSources sources = KernelSources.Embedded;
        foreach (string unit in sources.Names(".cu"))
        {
            foreach (GpuArchitecture architecture in GpuArchitectures.All)
            {
                CompiledKernels compiled = compiler.Compile(sources, unit, architecture);
                images.Write(sources, unit, architecture, compiled.Image);
                Console.WriteLine($"{unit} {architecture.Name()} {compiled.Image.Length:N0} bytes");
            }
        }
        Console.WriteLine($"{folder}: lay it beside the program as 'cubins', or name it in {AheadOfTimeImages.EnvironmentVariable}");
    }
}
