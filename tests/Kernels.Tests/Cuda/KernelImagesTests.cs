using System.Text;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Testing;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>When a unit is compiled and when an image is taken from disk.</summary>
public sealed class KernelImagesTests
{
    private const GpuArchitecture Sm80 = GpuArchitecture.Sm80;

    private static readonly KernelSources Sources = new(new Dictionary<string, string>
    {
        ["a.cu"] = "#include \"common.cuh\"\nkernel a",
        ["b.cu"] = "kernel b",
        ["common.cuh"] = "header",
    });

    private TemporaryFolder _folder = null!;
    private EchoCompiler _compiler = null!;

    [SetUp]
    public void CreateCompiler()
    {
        _folder = new TemporaryFolder();
        _compiler = new EchoCompiler("echo 1.0");
    }

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void A_second_process_takes_the_image_from_disk()
    {
        byte[] first = Images(Sources).Get("a.cu", Sm80);
        Assert.That(Images(Sources).Get("a.cu", Sm80), Is.EqualTo(first));
        Assert.That(_compiler.Compilations, Is.EqualTo(1));
    }

    [Test]
    public void Units_and_architectures_have_images_of_their_own()
    {
        KernelImages images = Images(Sources);
        byte[][] all = [images.Get("a.cu", Sm80), images.Get("b.cu", Sm80), images.Get("a.cu", GpuArchitecture.Sm89)];
        Assert.That(all.Select(Encoding.UTF8.GetString).Distinct(), Has.Exactly(3).Items);
    }

    [Test]
    public void A_changed_unit_header_or_compiler_is_compiled_again()
    {
        Images(Sources).Get("a.cu", Sm80);
        Assert.That(Text(Images(Sources.With("a.cu", "kernel new"))), Does.Contain("kernel new"));
        Assert.That(_compiler.Compilations, Is.EqualTo(2), "unit");
        Images(Sources.With("common.cuh", "other")).Get("a.cu", Sm80);
        Assert.That(_compiler.Compilations, Is.EqualTo(3), "header");
        Images(Sources.With("b.cu", "other")).Get("a.cu", Sm80);
        Assert.That(_compiler.Compilations, Is.EqualTo(3), "another unit");
        _compiler = new EchoCompiler("echo 1.1");
        Images(Sources).Get("a.cu", Sm80);
        Assert.That(_compiler.Compilations, Is.EqualTo(1), "compiler");
    }

    [TestCase("")]
    [TestCase("LSIMAGE1 but nothing else")]
    [TestCase("#!/bin/sh\necho something else altogether, long enough to be an image of some kind or another; it goes on and on\n")]
    public void A_damaged_or_foreign_entry_is_replaced(string content)
    {
        byte[] good = Images(Sources).Get("a.cu", Sm80);
        string entry = Directory.GetFiles(_folder.Path).Single();
        File.WriteAllText(entry, content);
        Assert.That(Images(Sources).Get("a.cu", Sm80), Is.EqualTo(good));
        Assert.That(Images(Sources).Get("a.cu", Sm80), Is.EqualTo(good));
        Assert.That(_compiler.Compilations, Is.EqualTo(2));
    }

    [Test]
    public void A_cache_that_cannot_be_written_costs_time_only()
    {
        File.WriteAllText(_folder.File("file"), "");
        KernelImages images = new(Sources, () => _compiler, _folder.File("file"));
        Assert.That(Text(images), Does.Contain("kernel a"));
    }

    [Test]
    public void Images_compiled_ahead_of_time_need_no_compiler()
    {
        AheadOfTimeImages ahead = new(_folder.Path);
        ahead.Write(Sources, "a.cu", Sm80, "ready"u8);
        KernelImages images = new(Sources, NoCompiler, _folder.Path, ahead);
        Assert.That(Text(images), Is.EqualTo("ready"));
        Assert.That(() => images.Get("b.cu", Sm80), Throws.TypeOf<CudaUnavailableException>().With.Message.EqualTo("no compiler"));
    }

    [Test]
    public void Images_of_other_sources_that_were_compiled_ahead_of_time_are_not_taken()
    {
        AheadOfTimeImages ahead = new(_folder.Path);
        ahead.Write(Sources.With("common.cuh", "older"), "a.cu", Sm80, "ready"u8);
        Assert.That(Text(new KernelImages(Sources, () => _compiler, _folder.Path, ahead)), Does.Contain("kernel a"));
    }

    [Test]
    public void Many_at_once_get_the_same_image()
    {
        string[] texts = new string[64];
        Parallel.For(0, texts.Length, i => texts[i] = Text(Images(Sources)));
        Assert.That(texts.Distinct(), Has.Exactly(1).Items);
    }

    private static KernelCompiler NoCompiler() => throw new CudaUnavailableException("no compiler");

    private static string Text(KernelImages images) => Encoding.UTF8.GetString(images.Get("a.cu", Sm80));

    private KernelImages Images(KernelSources sources) => new(sources, () => _compiler, _folder.Path);

    /// <summary>Its images are what it was given.</summary>
    private sealed class EchoCompiler(string identity) : KernelCompiler
    {
        private int _compilations;

        public int Compilations => _compilations;

        public override string Identity => identity;

        public override IReadOnlyList<string> Headers => [".cuh"];

        public override IReadOnlyList<string> Options(GpuArchitecture architecture) => [architecture.Name()];

        public override CompiledKernels Compile(KernelSources sources, string unit, GpuArchitecture architecture)
        {
            Interlocked.Increment(ref _compilations);
            return new CompiledKernels(Encoding.UTF8.GetBytes($"{identity} {architecture.Name()} {sources.Text(unit)}"), "");
        }
    }
}
