using System.CommandLine;
using LlamaServe.Bench.Cost;
using LlamaServe.Bench.Cuda;
using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Gpu;
using LlamaServe.Bench.Load;
using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Micro;
using LlamaServe.Bench.Models;
using LlamaServe.Bench.Peers;
using LlamaServe.Bench.Products;
using LlamaServe.Bench.Report;
using LlamaServe.Bench.Serving;
using LlamaServe.Bench.Simulation;
using LlamaServe.Bench.Training;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Models.Weights;

RootCommand root = new("LlamaServe's measurements and the training of its bundled model.")
{
    AgreeCommand.Create(),
    CostCommand.Create(),
    CubinsCommand.Create(),
    FrontendCommand.Create(),
    GpuCommand.Create(),
    KernelTableCommand.Create(),
    MachineCommand.Create(),
    MatMulCommand.Create(),
    MakeModelCommand.Create(),
    MemoryCommand.Create(),
    MicroCommand.Create(),
    PackCommand.Create(),
    PeersCommand.Create(),
    ReportCommand.Create(),
    ServeCommand.Create(),
    SimulateCommand.Create(),
    StartCommand.Create(),
    SweepCommand.Create(),
    TrainCommand.Create(),
};

try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or IOException or CudaUnavailableException or CompileException or CheckpointException)
{
    await Console.Error.WriteLineAsync(exception.Message);
    return 1;
}
catch (OperationCanceledException)
{
    return 130;
}
