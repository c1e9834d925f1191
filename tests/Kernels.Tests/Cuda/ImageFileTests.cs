using System.Security.Cryptography;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Testing;

namespace LlamaServe.Kernels.Tests.Cuda;

public sealed class ImageFileTests
{
    private static readonly byte[] Key = SHA256.HashData("key"u8);
    private static readonly byte[] Image = RandomNumberGenerator.GetBytes(5000);

    private TemporaryFolder _folder = null!;
    private string _path = null!;

    [SetUp]
    public void WriteImage()
    {
        _folder = new TemporaryFolder();
        _path = _folder.File("below/kernel.image");
        ImageFile.Write(_path, Key, Image);
    }

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void An_image_comes_back_as_it_was() => Assert.That(ImageFile.TryRead(_path, Key), Is.EqualTo(Image));

    [Test]
    public void An_image_made_from_something_else_is_not_taken() =>
        Assert.That(ImageFile.TryRead(_path, SHA256.HashData("other"u8)), Is.Null);

    [Test]
    public void A_missing_file_is_no_image() => Assert.That(ImageFile.TryRead(_folder.File("none"), Key), Is.Null);

    [TestCase(0)]
    [TestCase(7)]
    [TestCase(79)]
    [TestCase(80)]
    [TestCase(5079)]
    public void A_truncated_file_is_no_image(int length)
    {
        File.WriteAllBytes(_path, File.ReadAllBytes(_path)[..length]);
        Assert.That(ImageFile.TryRead(_path, Key), Is.Null);
    }

    [Test]
    public void A_file_with_any_byte_changed_is_no_image()
    {
        byte[] file = File.ReadAllBytes(_path);
        foreach (int at in (int[])[0, 7, 8, 39, 40, 71, 72, 79, 80, 2500, file.Length - 1])
        {
            byte[] changed = [.. file];
            changed[at] ^= 0x10;
            File.WriteAllBytes(_path, changed);
            Assert.That(ImageFile.TryRead(_path, Key), Is.Null, $"byte {at}");
        }
    }

    [Test]
    public void A_longer_file_is_no_image()
    {
        File.AppendAllText(_path, "x");
        Assert.That(ImageFile.TryRead(_path, Key), Is.Null);
    }

    [Test]
    public void Writers_at_the_same_time_never_show_a_part_of_a_file()
    {
        Parallel.For(0, 200, i =>
        {
            if (i % 2 == 0)
            {
                ImageFile.Write(_path, Key, Image);
            }
            else
            {
                Assert.That(ImageFile.TryRead(_path, Key), Is.EqualTo(Image));
            }
        });
        Assert.That(Directory.GetFiles(Path.GetDirectoryName(_path)!), Is.EqualTo(new[] { _path }), "temporary files are left");
    }
}
