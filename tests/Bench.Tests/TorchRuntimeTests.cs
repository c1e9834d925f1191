using LlamaServe.Bench.Torch;
using TorchSharp;

namespace LlamaServe.Bench.Tests;

internal sealed class TorchRuntimeTests
{
    private const string Required = "GLIBCXX_3.4.32";

    [Test]
    public void Tensors_can_be_computed_once_the_runtime_is_loaded()
    {
        TorchRuntime.EnsureLoaded();

        using torch.Tensor sum = torch.ones(3, 4).sum();

        Assert.That(sum.item<float>(), Is.EqualTo(12));
    }

    [Test]
    public void Loading_twice_does_no_harm()
    {
        TorchRuntime.EnsureLoaded();

        Assert.DoesNotThrow(TorchRuntime.EnsureLoaded);
    }

    [Test]
    public void Weakening_changes_one_flag_and_nothing_else()
    {
        byte[] original = ReadLibrary();
        byte[] weakened = [.. original];

        TorchRuntime.WeakenVersion(weakened, Required);

        int[] changed = [.. Enumerable.Range(0, original.Length).Where(i => original[i] != weakened[i])];
        Assert.That(changed, Has.Length.EqualTo(1));
        Assert.That((original[changed[0]], weakened[changed[0]]), Is.EqualTo(((byte)0, (byte)2)));
    }

    [Test]
    public void A_library_that_does_not_require_the_version_is_reported()
    {
        byte[] library = ReadLibrary();

        DllNotFoundException error = Assert.Throws<DllNotFoundException>(() => TorchRuntime.WeakenVersion(library, "GLIBCXX_9.9"))!;

        Assert.That(error.Message, Does.Contain("GLIBCXX_9.9"));
    }

    [Test]
    public void Something_other_than_an_ELF_file_is_refused() =>
        Assert.Throws<DllNotFoundException>(() => TorchRuntime.WeakenVersion(new byte[100], Required));

    private static byte[] ReadLibrary()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("SKIPPED: only the Linux library is an ELF file");
        }
        string path = Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", "libLibTorchSharp.so");
        return File.ReadAllBytes(path);
    }
}
