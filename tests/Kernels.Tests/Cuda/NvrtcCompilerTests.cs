using System.Text;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Testing;

namespace LlamaServe.Kernels.Tests.Cuda;

[Category(Toolchain.Compile)]
public sealed class NvrtcCompilerTests
{
    private const GpuArchitecture Sm90a = GpuArchitecture.Sm90a;

    private static readonly KernelSources Sources = new(new Dictionary<string, string>
    {
        ["scale.cu"] = """
            #include "scale.cuh"
            extern "C" __global__ void scale(float4* x, float factor)
            {
                x[threadIdx.x] = scaled(x[threadIdx.x], factor);
            }
            """,
        ["scale.cuh"] = """
            #pragma once
            __device__ inline float4 scaled(float4 v, float f) { return make_float4(v.x * f, v.y * f, v.z * f, v.w * f); }
            """,
    });

    [TestCaseSource(typeof(GpuArchitectures), nameof(GpuArchitectures.All))]
    public void A_unit_with_a_header_becomes_machine_code_of_each_architecture(object architecture)
    {
        CompiledKernels kernels = Toolchain.RequireNvrtc().Compile(Sources, "scale.cu", (GpuArchitecture)architecture);
        Assert.That(kernels.Image.AsSpan()[..4].ToArray(), Is.EqualTo("\u007fELF"u8.ToArray()));
        Assert.That(Encoding.Latin1.GetString(kernels.Image), Does.Contain(".text.scale"));
        Assert.That(PtxasReport.Read(kernels.Log).Single(), Has.Property(nameof(KernelResources.Registers)).GreaterThan(3)
            .And.Property(nameof(KernelResources.Kernel)).EqualTo("scale"));
    }

    [Test]
    public void The_same_source_gives_the_same_image()
    {
        NvrtcCompiler compiler = Toolchain.RequireNvrtc();
        byte[] first = compiler.Compile(Sources, "scale.cu", Sm90a).Image;
        Assert.That(compiler.Compile(Sources, "scale.cu", Sm90a).Image, Is.EqualTo(first));
    }

    [Test]
    public void A_float4_is_loaded_by_one_instruction()
    {
        KernelCode code = Toolchain.Disassemble(Toolchain.RequireNvrtc().Compile(Sources, "scale.cu", Sm90a).Image).Single();
        Assert.That(code.Kernel, Is.EqualTo("scale"));
        Assert.That(code.Opcodes, Does.Contain("LDG.E.128").And.Contain("STG.E.128").And.Contain("EXIT"));
        Assert.That((code.GlobalLoads, code.WideGlobalLoads, code.LocalAccesses, code.BulkLoads, code.Tensor.Count), Is.EqualTo((1, 1, 0, 0, 0)));
    }

    [Test]
    public void A_computed_index_into_an_array_is_seen_as_local_memory()
    {
        const string Unit = """
            extern "C" __global__ void pick(float* x, int k)
            {
                float all[64];
                for (int i = 0; i < 64; i++)
                    all[i] = x[i];
                for (int i = 0; i < 64; i++)
                    all[i * k & 63] += all[i];
                x[0] = all[k & 63];
            }
            """;
        CompiledKernels compiled = Toolchain.RequireNvrtc().Compile(Sources.With("pick.cu", Unit), "pick.cu", Sm90a);
        Assert.That(PtxasReport.Read(compiled.Log).Single().StackBytes, Is.EqualTo(256));
        Assert.That(Toolchain.Disassemble(compiled.Image).Single().LocalAccesses, Is.Positive);
    }

    [Test]
    public void An_error_is_shown_with_its_file_and_line()
    {
        CompileException exception = Fails("scale.cuh", Sources.Text("scale.cuh") + "\n__device__ int wrong() { return nothing; }");
        Assert.That(exception.Log, Does.Contain("scale.cuh(3)").And.Contain("nothing"));
        Assert.That(exception.Message, Does.StartWith("scale.cu does not compile with NVRTC").And.Contain("sm_90a").And.Contain("scale.cuh(3)"));
    }

    [Test]
    public void A_warning_is_an_error() =>
        Assert.That(Fails("scale.cuh", Sources.Text("scale.cuh") + "\n__device__ void idle() { int unused; }").Log, Does.Contain("warning"));

    [Test]
    public void An_include_of_the_host_is_refused() =>
        Assert.That(Fails("scale.cu", "#include <stdio.h>\n").Log, Does.Contain("stdio.h"));

    [Test]
    public void Two_threads_compile_at_once()
    {
        NvrtcCompiler compiler = Toolchain.RequireNvrtc();
        byte[][] images = new byte[8][];
        Parallel.For(0, images.Length, i => images[i] = compiler.Compile(Sources, "scale.cu", Sm90a).Image);
        Assert.That(images, Is.All.EqualTo(images[0]));
    }

    [Test]
    public void Where_there_is_no_nvrtc_the_message_says_what_helps()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder.File("libnvrtc.so.12"), "not a library");
        CudaUnavailableException exception = Assert.Throws<CudaUnavailableException>(() => NvrtcApi.Load([folder.File("libnvrtc.so.12")]))!;
        Assert.That(exception.Message, Does.StartWith("There is no NVRTC").And.Contain(NvrtcApi.EnvironmentVariable).And.Contain("cubins"));
    }

    private static CompileException Fails(string file, string text)
    {
        NvrtcCompiler compiler = Toolchain.RequireNvrtc();
        return Assert.Throws<CompileException>(() => compiler.Compile(Sources.With(file, text), "scale.cu", Sm90a))!;
    }
}
