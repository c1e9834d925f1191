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
        command.SetAction(parsed =>
        {
            string folder = parsed.GetRequiredValue(output).FullName;
            Compile(new NvrtcCompiler(NvrtcApi.Load()), KernelSources.Embedded, GpuArchitectures.All, folder);
            Console.WriteLine($"{folder}: lay it beside the program as 'cubins', or name it in {AheadOfTimeImages.EnvironmentVariable}");
        });
        return command;
    }

    /// <summary>Compiles every unit for some architectures into a folder.</summary>
    public static void Compile(NvrtcCompiler compiler, KernelSources sources, IEnumerable<GpuArchitecture> architectures, string folder)
    {
        AheadOfTimeImages images = new(folder);
        foreach (string unit in sources.Names(".cu"))
        {
            foreach (GpuArchitecture architecture in architectures)
            {
                CompiledKernels compiled = compiler.Compile(sources, unit, architecture);
                images.Write(sources, unit, architecture, compiled.Image);
                Console.WriteLine($"{unit} {architecture.Name()} {compiled.Image.Length:N0} bytes");
            }
        }
    }
}
