using System.Buffers.Binary;
using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Testing;

namespace LlamaServe.Kernels.Tests.Cuda;

[Category(Toolchain.Emulated)]
public sealed class HostCompilerTests
{
    private static readonly KernelSources Sources = new(new Dictionary<string, string>
    {
        ["answer.cu"] = "#include \"answer.cuh\"\nextern \"C\" int architecture() { return __CUDA_ARCH__ + OFFSET; }\n",
        ["answer.cuh"] = "#pragma once\n#ifdef LLAMASERVE_EMULATED\n#define OFFSET 7\n#endif\n",
        ["driver.cpp"] = "#include \"driver.hpp\"\nextern \"C\" int answer() { return ANSWER + more(); }\n",
        ["driver.hpp"] = "#pragma once\n#define ANSWER 41\nint more();\n",
        ["more.cpp"] = "#include \"driver.hpp\"\nint more() { return 1; }\n",
    });

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void An_image_is_magic_length_and_library()
    {
        byte[] image = Compiler().Compile(Sources, "answer.cu", GpuArchitecture.Sm89).Image;
        Assert.That(image.AsSpan(0, 8).ToArray(), Is.EqualTo("LSEMUIMG"u8.ToArray()));
        Assert.That(BinaryPrimitives.ReadInt64LittleEndian(image.AsSpan(8)), Is.EqualTo(image.Length - 16));
        string library = _folder.File("answer.so");
        File.WriteAllBytes(library, image[16..]);
        Assert.That(Call(library, "architecture"), Is.EqualTo(897));
    }

    [Test]
    public void An_error_is_shown_with_its_file_and_line()
    {
        HostCompiler compiler = Compiler();
        CompileException exception = Assert.Throws<CompileException>(
            () => compiler.Compile(Sources.With("answer.cuh", "#pragma once\nint x = nothing;\n"), "answer.cu", GpuArchitecture.Sm80))!;
        Assert.That(exception.Log, Does.Contain("answer.cuh:2:").And.Contain("nothing"));
    }

    [Test]
    public void The_emulated_driver_is_built_once_and_repaired_when_damaged()
    {
        string path = Compiler().BuildDriver(Sources);
        Assert.That(Call(path, "answer"), Is.EqualTo(42));
        byte[] library = File.ReadAllBytes(path);
        DateTime built = File.GetLastWriteTimeUtc(path);
        Assert.That(Compiler().BuildDriver(Sources), Is.EqualTo(path));
        Assert.That(File.GetLastWriteTimeUtc(path), Is.EqualTo(built));
        // Replaced rather than overwritten: this process has the old file mapped.
        File.Delete(path);
        File.WriteAllBytes(path, library[..100]);
        Assert.That(File.ReadAllBytes(Compiler().BuildDriver(Sources)), Is.EqualTo(library));
    }

    [Test]
    public void Another_source_gives_another_driver()
    {
        string changed = Compiler().BuildDriver(Sources.With("driver.hpp", Sources.Text("driver.hpp").Replace("41", "1")));
        Assert.That(Call(changed, "answer"), Is.EqualTo(2));
        Assert.That(Compiler().BuildDriver(Sources), Is.Not.EqualTo(changed));
    }

    [Test]
    public void Two_builds_at_once_give_the_same_driver()
    {
        _ = Compiler();
        string[] paths = new string[4];
        Parallel.For(0, paths.Length, i => paths[i] = Compiler().BuildDriver(Sources));
        Assert.That(paths.Distinct(), Has.Exactly(1).Items);
        Assert.That(Call(paths[0], "answer"), Is.EqualTo(42));
    }

    [Test]
    public void Where_there_is_no_compiler_the_message_names_it() => Assert.That(
        () => new HostCompiler(_folder.Path, "no-such-c++"),
        Throws.TypeOf<CudaUnavailableException>().With.Message.Contains("no-such-c++").And.Message.Contains("CXX"));

    private HostCompiler Compiler() => Toolchain.RequireHostCompiler(_folder.Path);

    private static unsafe int Call(string library, string function)
    {
        nint handle = NativeLibrary.Load(library);
        return ((delegate* unmanaged<int>)NativeLibrary.GetExport(handle, function))();
    }
}
